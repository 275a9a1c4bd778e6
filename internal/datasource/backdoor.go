package datasource

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// registers are those of the CPU that the backdoor of VMware's hypervisor reads
// and writes. The assembly knows their order.
type registers struct{ ax, bx, cx, dx, si, di uint32 }

// backdoor carries out one request: an IN from a port that the hypervisor
// watches. Programs need no rights for it. Its error says that no hypervisor
// answered.
type backdoor func(r *registers) error

// Numbers of the backdoor, as in open-vm-tools.
const (
	backdoorMagic   = 0x564d5868
	backdoorPort    = 0x5658
	backdoorMessage = 30         // the command for all below
	rpciProtocol    = 0x49435052 // "RPCI": one question, one answer
	rpciCookie      = 0x80000000 // the channel has a password
)

// Requests of a message, in the upper half of cx.
const (
	messageOpen = iota
	messageSendSize
	messageSend
	messageReceiveSize
	messageReceive
	messageReceived
	messageClose
)

// States of a request, in the upper half of cx.
const (
	messageSuccess    = 0x01
	messageWaiting    = 0x02 // an answer is there
	messageCheckpoint = 0x10 // the machine was moved or saved meanwhile: once more
)

var (
	errMessage    = errors.New("the hypervisor refused a message")
	errCheckpoint = errors.New("the machine was saved or moved during a message")
)

// channel is a conversation with the hypervisor.
type channel struct {
	door   backdoor
	id     uint32 // in the upper half of dx
	si, di uint32 // the password
}

// call makes one request and returns what came back.
func (c channel) call(request, value uint32) (registers, error) {
	r := registers{
		ax: backdoorMagic,
		bx: value,
		cx: request<<16 | backdoorMessage,
		dx: c.id<<16 | backdoorPort,
		si: c.si,
		di: c.di,
	}
	if err := c.door(&r); err != nil {
		return r, err
	}
	switch status := r.cx >> 16; {
	case status&messageSuccess != 0:
		return r, nil
	case status&messageCheckpoint != 0:
		return r, errCheckpoint
	}
	return r, errMessage
}

// ask sends a question and returns the answer, which begins with "1 " for a
// good one and "0 " for any other.
func (door backdoor) ask(question string) (answer string, err error) {
	const most = 5
	for range most {
		answer, err = door.askOnce(question)
		if !errors.Is(err, errCheckpoint) {
			break
		}
	}
	return answer, err
}

func (door backdoor) askOnce(question string) (answer string, err error) {
	c, err := door.open()
	if err != nil {
		return "", err
	}
	defer c.call(messageClose, 0) // the answer is here, whatever comes of it
	if err := c.send([]byte(question)); err != nil {
		return "", err
	}
	text, err := c.receive()
	return string(text), err
}

func (door backdoor) open() (channel, error) {
	r, err := channel{door: door}.call(messageOpen, rpciProtocol|rpciCookie)
	if errors.Is(err, errMessage) { // before ESX 3
		r, err = channel{door: door}.call(messageOpen, rpciProtocol)
	}
	return channel{door: door, id: r.dx >> 16, si: r.si, di: r.di}, err
}

func (c channel) send(text []byte) error {
	if _, err := c.call(messageSendSize, uint32(len(text))); err != nil {
		return err
	}
	for len(text) > 0 {
		var four [4]byte
		n := copy(four[:], text)
		if _, err := c.call(messageSend, binary.LittleEndian.Uint32(four[:])); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

func (c channel) receive() ([]byte, error) {
	r, err := c.call(messageReceiveSize, 0)
	if err != nil {
		return nil, err
	}
	if r.cx>>16&messageWaiting == 0 || r.dx>>16 != messageSendSize {
		return nil, errors.New("the hypervisor did not answer a message")
	}
	size := int64(r.bx)
	if size > maxBody {
		return nil, fmt.Errorf("the hypervisor's answer is larger than %d MiB", maxBody>>20)
	}
	text := make([]byte, 0, size+3)
	for int64(len(text)) < size {
		if r, err = c.call(messageReceive, messageSuccess); err != nil {
			return nil, err
		}
		if r.dx>>16 != messageSend {
			return nil, errors.New("the hypervisor broke off an answer")
		}
		text = binary.LittleEndian.AppendUint32(text, r.bx)
	}
	_, err = c.call(messageReceived, messageSuccess)
	return text[:size], err
}

// guestinfo is the value of a guestinfo variable; nothing when there is none.
func (door backdoor) guestinfo(key string) (string, error) {
	answer, err := door.ask("info-get guestinfo." + key)
	if err != nil {
		return "", fmt.Errorf("cannot read guestinfo.%s: %w", key, err)
	}
	value, ok := strings.CutPrefix(answer, "1 ")
	if !ok {
		return "", nil // "0 No value found"
	}
	return strings.TrimRight(value, "\x00"), nil
}
