package config

// Applier is what puts changed keys into effect. What it does is package
// apply's; here stands what people are told beforehand.
type Applier struct {
	Name    string   `json:"name"`   // as in the tag "when" of a key
	Effect  string   `json:"effect"` // a phrase: "at once", "restarts ntp"
	Reload  []string `json:"reload,omitempty"`
	Restart []string `json:"restart,omitempty"` // services that may have to be restarted for it
}

// Appliers are all of them, in the order in which they are carried out. Those
// at the end have no work to do when a key changes.
var Appliers = []Applier{
	{Name: "hostname", Effect: "at once"},
	{Name: "modules", Effect: "at once; a module that is no longer named stays until the next boot"},
	{Name: "sysctl", Effect: "at once"},
	// Before mounts: bootcmd may make what is mounted, and partitions grow first.
	{Name: "boot", Effect: "at the next boot"},
	{Name: "mounts", Effect: "at once"},
	{Name: "swap", Effect: "at once"},
	{Name: "timezone", Effect: "at once; programs that run already may keep the old one"},
	{Name: "trust", Effect: "restarts docker (containers go on); other programs that run already may keep the old ones", Restart: []string{"docker"}},
	{Name: "console", Effect: "at once, for the next login; ends the sessions in the console before it"},
	{Name: "logins", Effect: "at once, for the next login"},
	{Name: "registries", Effect: "at once"},
	{Name: "environment", Effect: "at once for the next login; recreates the services that use what changed"},
	{Name: "files", Effect: "at once"},
	{Name: "network", Effect: "restarts network", Restart: []string{"network"}},
	{Name: "ntp", Effect: "restarts ntp", Restart: []string{"ntp"}},
	{Name: "ssh", Effect: "reloads ssh (sessions go on)", Reload: []string{"ssh"}, Restart: []string{"ssh"}},
	{Name: "engine", Effect: "changes the engine: its containers are stopped, and started again as their restart policies say"},
	{Name: "docker", Effect: "restarts docker (containers go on)", Reload: []string{"docker"}, Restart: []string{"docker"}},
	{Name: "services", Effect: "starts, stops and recreates the services that changed"},
	{Name: "power", Effect: "at the next shutdown"},
	{Name: "log", Effect: "at once"},

	{Name: "use", Effect: "the next time it is used"},
	{Name: "kernel", Effect: "at the next boot, and only on the kernel command line"},
}

// FindApplier is the applier of that name.
func FindApplier(name string) (Applier, bool) {
	for _, a := range Appliers {
		if a.Name == name {
			return a, true
		}
	}
	return Applier{}, false
}

// lighter are keys that have less of an effect than others of their applier.
var lighter = map[string]string{
	"rancher.docker.debug":             "reloads docker",
	"rancher.docker.insecure_registry": "reloads docker",
	"rancher.docker.live_restore":      "reloads docker",
	"rancher.docker.registry_mirror":   "reloads docker",
}

// Effect is how a change of a key takes effect, a phrase; "" if it has none.
func Effect(key, applier string) string {
	if phrase := lighter[key]; phrase != "" {
		return phrase
	}
	a, _ := FindApplier(applier)
	return a.Effect
}
