package datasource

// CloudStackRouters is where the source cloudstack looks for its service.
var CloudStackRouters = routers

// Registers are those of a request by VMware's backdoor.
type Registers = registers

// The parts of a request, by number.
func (r *registers) Get() [6]uint32 { return [6]uint32{r.ax, r.bx, r.cx, r.dx, r.si, r.di} }
func (r *registers) Set(v [6]uint32) {
	r.ax, r.bx, r.cx, r.dx, r.si, r.di = v[0], v[1], v[2], v[3], v[4], v[5]
}

// WithBackdoor is the source vmware of a machine with another hypervisor.
func WithBackdoor(s Source, door func(*Registers) error) Source {
	v := s.(vmware)
	v.door = door
	return v
}
