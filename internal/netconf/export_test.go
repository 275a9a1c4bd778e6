package netconf

// What tests look at from outside.
type (
	Link   = link
	Wanted = wanted
	Route  = route
)

var (
	Pick       = pick
	Want       = want
	DHCPCDConf = dhcpcdConf
	Command    = command
)

// Direct is direct.
func (w wanted) Direct(r route) bool { return w.direct(r) }
