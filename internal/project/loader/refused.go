package loader

// refused are the keys of Compose that have no meaning on this machine, with
// the reason. docs/compose.md has the same list; a test holds the two together.
// What stands below a refused key is refused with it.
var refused = map[string]string{
	"jobs":   "jobs are not run; use a one-shot service (restart: \"no\") and container-cron of the catalog",
	"models": "the engine of this machine runs no models",

	"services.NAME.build":              "nothing is built on this machine; name an image that a registry has",
	"services.NAME.cpu_count":          "it is for Windows containers; use \"cpus\"",
	"services.NAME.cpu_percent":        "it is for Windows containers; use \"cpus\"",
	"services.NAME.credential_spec":    "it is for Windows containers",
	"services.NAME.develop":            "it is for development with docker compose",
	"services.NAME.isolation":          "it is for Windows containers",
	"services.NAME.models":             "the engine of this machine runs no models",
	"services.NAME.post_start":         "use another service that has this one under \"depends_on\"",
	"services.NAME.pre_start":          "use a one-shot service and \"depends_on\" with service_completed_successfully",
	"services.NAME.pre_stop":           "use \"stop_signal\" and \"stop_grace_period\"",
	"services.NAME.provider":           "it is for programs beside docker compose",
	"services.NAME.pull_refresh_after": "images are pulled when a service is enabled and when it is updated, and not else",
	"services.NAME.umask":              "the engine has no umask; set it in the command",
	"services.NAME.use_api_socket":     "bind-mount the socket with \"volumes\"",

	"services.NAME.deploy.endpoint_mode":                            "it is for a swarm",
	"services.NAME.deploy.labels":                                   "it is for a swarm; use \"labels\" of the service",
	"services.NAME.deploy.placement":                                "it is for a swarm",
	"services.NAME.deploy.rollback_config":                          "it is for a swarm",
	"services.NAME.deploy.update_config":                            "it is for a swarm",
	"services.NAME.deploy.resources.reservations.cpus":              "it is for a swarm; use \"cpu_shares\"",
	"services.NAME.deploy.resources.reservations.generic_resources": "it is for a swarm",
	"services.NAME.deploy.restart_policy.delay":                     "the delay doubles from 100 ms to 30 s by itself",
	"services.NAME.deploy.restart_policy.window":                    "a run of 10 seconds counts as a success",

	"configs.NAME.external":        "it is for a swarm; give \"file\", \"content\" or \"environment\"",
	"configs.NAME.template_driver": "it is for a swarm",
	"secrets.NAME.driver":          "it is for a swarm",
	"secrets.NAME.driver_opts":     "it is for a swarm",
	"secrets.NAME.external":        "it is for a swarm; give \"file\" or \"environment\"",
	"secrets.NAME.template_driver": "it is for a swarm",
}

// beside are the keys that name files beside the service file. One that came
// alone, from an address, has none.
var beside = map[string]bool{
	"include":                    true,
	"configs.NAME.file":          true,
	"secrets.NAME.file":          true,
	"services.NAME.env_file":     true,
	"services.NAME.label_file":   true,
	"services.NAME.extends.file": true,
}
