package control

// Routes about engines. Those that change something are for root only, and
// answer a stream of ImageStep.
//
//	GET  /v1/engines         []EngineEntry; ?refresh=1 asks the catalogs
//	POST /v1/engines/switch  body EngineAsk: now
//	POST /v1/engines/enable  body EngineAsk: at the next boot
//	POST /v1/engines/create  body EngineAsk: an extra engine
//	POST /v1/engines/rm      body EngineAsk: an extra engine and its data

// EngineEntry is an engine that runs or could.
type EngineEntry struct {
	Name       string `json:"name"`
	State      string `json:"state"`
	Extra      bool   `json:"extra,omitempty"` // beside the engine; State is that of its service
	Version    string `json:"version,omitempty"`
	Image      string `json:"image,omitempty"`
	Pin        string `json:"pin,omitempty"` // the image with its digest
	Repository string `json:"repository,omitempty"`
	Socket     string `json:"socket,omitempty"`
	Error      string `json:"error,omitempty"`
}

// The states of an EngineEntry. Those that have none of them are Disabled:
// they would have to be fetched.
const (
	EngineCurrent   = "current"
	EngineEnabled   = "enabled"   // from the next boot on
	EngineAvailable = "available" // on this machine
	EngineDisabled  = "disabled"
)

// EngineAsk is what a verb is about.
type EngineAsk struct {
	Name   string `json:"name"`
	NoPull bool   `json:"no_pull,omitempty"`

	Network        string `json:"network,omitempty"` // create
	FixedIP        string `json:"fixed_ip,omitempty"`
	TimeoutSeconds *int   `json:"timeout_seconds,omitempty"` // rm
}
