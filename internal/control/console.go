package control

import "time"

// ConsoleSocket is where logins ask to be let into the console. Everybody may
// talk to it: the kernel says who it is, and rosd what that one may.
const ConsoleSocket = "/run/ros/api/console.sock"

// Routes about consoles. Those that change something are for root only and
// answer a stream of ImageStep.
//
//	GET  /v1/consoles           []Console; ?refresh=1 asks the repositories
//	POST /v1/consoles/switch    body ConsoleName
//	POST /v1/consoles/enable
//	POST /v1/consoles/reset     the console that is in use
//
// At ConsoleSocket there are only these; both answer a talk (Frame), or an Error
// when there is nobody to talk to:
//
//	POST /v1/console/enter      body Enter
//	POST /v1/console/sudo       body Sudo

// Console is one that is in use or could be.
type Console struct {
	Name       string    `json:"name"`
	State      string    `json:"state"` // ConsoleCurrent and the like
	Image      string    `json:"image,omitempty"`
	Origin     string    `json:"origin,omitempty"` // where it came from
	Repository string    `json:"repository,omitempty"`
	SignedBy   string    `json:"signed_by,omitempty"`
	Persistent bool      `json:"persistent"` // what is written to its files stays
	Time       time.Time `json:"time,omitzero"`
	Error      string    `json:"error,omitempty"`
}

// The states of a Console.
const (
	ConsoleCurrent   = "current"   // logins are there
	ConsoleEnabled   = "enabled"   // they will be there after the next boot
	ConsoleDisabled  = "disabled"  // it is on the machine
	ConsoleAvailable = "available" // a catalog has it
)

// ConsoleName is what a verb is about.
type ConsoleName struct {
	Name   string `json:"name,omitempty"`
	NoPull bool   `json:"no_pull,omitempty"`
}

// Enter is a login that goes on in the console.
type Enter struct {
	Command  string   `json:"command,omitempty"` // for the shell; "": a login shell
	Env      []string `json:"env,omitempty"`
	Terminal bool     `json:"terminal,omitempty"`
	Size              // of the terminal, when the program starts
}

// Sudo is a program to run as somebody else in the console, if the config lets
// who asks do that.
type Sudo struct {
	Args     []string `json:"args,omitempty"`  // the program; with Shell what it is to run, if anything
	User     string   `json:"user,omitempty"`  // "": root
	Shell    bool     `json:"shell,omitempty"` // run a shell
	Login    bool     `json:"login,omitempty"` // one that reads its profile, at home
	Dir      string   `json:"dir,omitempty"`
	Env      []string `json:"env,omitempty"` // what is passed on of it is known; more by Set
	Set      []string `json:"set,omitempty"`
	Terminal bool     `json:"terminal,omitempty"`
	Size              // of the terminal, when the program starts
}
