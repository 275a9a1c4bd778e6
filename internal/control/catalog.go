package control

import (
	"time"

	"github.com/rosteros/ros/internal/compose"
)

// Routes about service files of catalogs. Those that change something are for
// root only, and answer a stream of ImageStep: what is done, line by line.
//
//	GET  /v1/catalog            []CatalogEntry; ?refresh=1 asks the repositories
//	POST /v1/catalog/enable     body CatalogNames
//	POST /v1/catalog/disable
//	POST /v1/catalog/delete
//	POST /v1/catalog/update     CatalogNames.DryRun shows what would change
//	POST /v1/catalog/pull       Names are services
//	POST /v1/catalog/missing    answers the names of the services that have no image yet, or pull it always

// CatalogEntry is a service file that is enabled or could be.
type CatalogEntry struct {
	Name       string            `json:"name"`  // in its repository; of a file or an address, that
	State      string            `json:"state"` // "enabled", "disabled" or "" when nobody has asked for it
	Repository string            `json:"repository,omitempty"`
	SignedBy   string            `json:"signed_by,omitempty"` // name of the key that signed the index
	Origin     string            `json:"origin,omitempty"`
	Services   []string          `json:"services,omitempty"`
	Images     map[string]string `json:"images,omitempty"`
	Time       time.Time         `json:"time,omitzero"` // when it was enabled or updated
	Error      string            `json:"error,omitempty"`
}

// The states of a CatalogEntry.
const (
	Enabled  = "enabled"
	Disabled = "disabled"
)

// CatalogNames is what a verb is about.
type CatalogNames struct {
	Names  []string `json:"names"`
	DryRun bool     `json:"dry_run,omitempty"`
}

// Routes about what runs in the engine, and what everything takes:
//
//	GET /v1/services/NAME/log?lines=N&follow=1   stream of LogLine, of a service of scope user
//	GET /v1/stats                                []Stats, of what runs

// LogLine is one line that a service wrote, or the error that ended it.
type LogLine struct {
	Time   time.Time `json:"time,omitzero"`
	Stream string    `json:"stream,omitempty"`
	Text   string    `json:"text"`
	Error  string    `json:"error,omitempty"`
}

// Stats are what a service has taken: since it started, or now.
type Stats struct {
	Service         string        `json:"service"`
	Scope           compose.Scope `json:"scope"`
	CPUMicroseconds int64         `json:"cpu_microseconds"`
	Memory          int64         `json:"memory"`
	MemoryLimit     int64         `json:"memory_limit,omitempty"` // 0: none
	Pids            int64         `json:"pids"`
	ReadBytes       int64         `json:"read_bytes"`
	WrittenBytes    int64         `json:"written_bytes"`
}
