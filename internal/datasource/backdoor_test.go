package datasource_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/datasource"
)

// Parts of a request.
const (
	ax = iota
	bx
	cx
	dx
	si
	di
)

// hypervisor is VMware's side of the backdoor, for one channel.
type hypervisor struct {
	variables map[string]string // without guestinfo. in front
	// What goes wrong.
	noCookie   bool   // an old one: refuses channels with a password
	checkpoint int    // so many requests fail because the machine is being moved
	answer     string // instead of the right one
	size       uint32 // announced instead of the right one
	refuse     uint32 // a request that fails, by its number

	open, closed int
	asked        []byte
	left         uint32 // bytes of the question that are still to come
	reply        []byte // what is left of the answer
}

const (
	success    = 1 << 16
	waiting    = 2 << 16
	checkpoint = 0x10 << 16
	highSpeed  = 0x80 << 16 // offered by all newer ones
)

func (h *hypervisor) in(r *datasource.Registers) error {
	v := r.Get()
	if v[ax] != 0x564d5868 || v[dx]&0xffff != 0x5658 || v[cx]&0xffff != 30 {
		return errors.New("not a message")
	}
	request := v[cx] >> 16
	if request != 0 && (v[dx]>>16 != 3 || !h.noCookie && (v[si] != 0x1111 || v[di] != 0x2222)) {
		return errors.New("not the channel that was opened")
	}
	v = h.do(request, v)
	r.Set(v)
	return nil
}

func (h *hypervisor) do(request uint32, v [6]uint32) [6]uint32 {
	value := v[bx]
	v[cx] = success | highSpeed
	if h.refuse == request && request != 0 {
		v[cx] = 0
		return v
	}
	switch request {
	case 0: // open
		if h.noCookie && value != 0x49435052 || !h.noCookie && value != 0xc9435052 {
			v[cx] = 0
			return v
		}
		h.open++
		h.asked = nil
		v[dx] = 3<<16 | v[dx]&0xffff
		v[si], v[di] = 0x1111, 0x2222
	case 1: // size of the question
		h.left = value
	case 2: // four bytes of it
		n := min(4, h.left)
		h.asked = append(h.asked, binary.LittleEndian.AppendUint32(nil, value)[:n]...)
		h.left -= n
	case 3: // size of the answer
		h.reply = []byte(h.answerTo(string(h.asked)))
		v[bx] = uint32(len(h.reply))
		if h.size != 0 {
			v[bx] = h.size
		}
		v[cx] |= waiting
		v[dx] = 1<<16 | v[dx]&0xffff
	case 4: // four bytes of it
		if h.checkpoint > 0 {
			h.checkpoint--
			v[cx] = checkpoint
			return v
		}
		four := make([]byte, 4)
		h.reply = h.reply[copy(four, h.reply):]
		v[bx] = binary.LittleEndian.Uint32(four)
		v[dx] = 2<<16 | v[dx]&0xffff
	case 6: // close
		h.closed++
	}
	return v
}

func (h *hypervisor) answerTo(question string) string {
	if h.answer != "" {
		return h.answer
	}
	key, ok := strings.CutPrefix(question, "info-get guestinfo.")
	if !ok {
		return "0 Unknown command"
	}
	value, ok := h.variables[key]
	if !ok {
		return "0 No value found"
	}
	return "1 " + value
}

func TestBackdoorFaults(t *testing.T) {
	variables := map[string]string{"hostname": "web"}
	tests := []struct {
		name string
		h    hypervisor
		err  string
	}{
		{name: "fine", h: hypervisor{}},
		{name: "without a password", h: hypervisor{noCookie: true}},
		{name: "moved meanwhile", h: hypervisor{checkpoint: 2}},
		{name: "moved all the time", h: hypervisor{checkpoint: 1 << 30},
			err: "cannot read guestinfo.ovfEnv: the machine was saved or moved during a message"},
		{name: "endless answer", h: hypervisor{size: 1 << 31},
			err: "cannot read guestinfo.ovfEnv: the hypervisor's answer is larger than 4 MiB"},
		{name: "question is refused", h: hypervisor{refuse: 2},
			err: "cannot read guestinfo.ovfEnv: the hypervisor refused a message"},
		{name: "answer is refused", h: hypervisor{refuse: 3},
			err: "cannot read guestinfo.ovfEnv: the hypervisor refused a message"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &test.h
			h.variables = variables
			source := datasource.WithBackdoor(oneSource(t, datasource.Machine{}, "vmware"), h.in)
			data, err := source.Fetch(t.Context())
			if h.open != h.closed {
				t.Errorf("%d channels were opened and %d closed", h.open, h.closed)
			}
			if test.err != "" {
				if err == nil || err.Error() != test.err || errors.Is(err, datasource.ErrAbsent) {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantData(t, data, datasource.Data{Hostname: "web"}, "")
		})
	}
}

func TestBackdoorWithShortAnswers(t *testing.T) {
	for _, answer := range []string{"1", "0", "1 ", "?"} {
		h := &hypervisor{answer: answer}
		_, err := datasource.WithBackdoor(oneSource(t, datasource.Machine{}, "vmware"), h.in).Fetch(t.Context())
		if !errors.Is(err, datasource.ErrAbsent) {
			t.Errorf("answer %q: error %v", answer, err)
		}
	}
}

// The test's own machine most likely has no such hypervisor, and must survive the
// question.
func TestNoBackdoor(t *testing.T) {
	for range 3 {
		_, err := oneSource(t, datasource.Machine{}, "vmware").Fetch(t.Context())
		if err != nil && !errors.Is(err, datasource.ErrAbsent) {
			t.Error(err)
		}
	}
}
