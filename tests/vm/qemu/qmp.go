package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// QMP is a connection to QEMU's control socket: one command at a time.
type QMP struct {
	mu   sync.Mutex
	conn net.Conn
	dec  *json.Decoder
}

// dialQMP connects to the socket, for which QEMU needs a moment after its start.
func dialQMP(path string, ended <-chan struct{}, patience time.Duration) (*QMP, error) {
	deadline := time.Now().Add(patience)
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			q := &QMP{conn: conn, dec: json.NewDecoder(conn)}
			var greeting map[string]any
			if err := q.dec.Decode(&greeting); err != nil {
				conn.Close()
				return nil, fmt.Errorf("cannot talk to QEMU: %w", err)
			}
			return q, q.Do("qmp_capabilities", nil, nil)
		}
		select {
		case <-ended:
			return nil, errors.New("cannot talk to QEMU: it has ended")
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("cannot talk to QEMU: %w", err)
		}
	}
}

// Do runs a command and decodes its answer into result, which may be nil.
// Events that come in between are dropped.
func (q *QMP) Do(command string, arguments, result any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		return fmt.Errorf("cannot send %s to QEMU: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct{ Desc string }
		}
		if err := q.dec.Decode(&answer); err != nil {
			return fmt.Errorf("cannot read QEMU's answer to %s: %w", command, err)
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("QEMU refuses %s: %s", command, answer.Error.Desc)
		case answer.Return == nil: // an event
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Return, result)
		}
	}
}

// job runs a command that QEMU carries out as a job of its own, to its end.
func (q *QMP) job(command, id string, arguments map[string]any, patience time.Duration) error {
	arguments["job-id"] = id
	if err := q.Do(command, arguments, nil); err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for {
		var jobs []struct{ ID, Status, Error string }
		if err := q.Do("query-jobs", nil, &jobs); err != nil {
			return err
		}
		for _, job := range jobs {
			if job.ID != id || job.Status != "concluded" {
				continue
			}
			if err := q.Do("job-dismiss", map[string]any{"id": id}, nil); err != nil {
				return err
			}
			if job.Error != "" {
				return fmt.Errorf("cannot finish %s: %s", command, job.Error)
			}
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot finish %s within %v", command, patience)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// writable lists the block nodes that a snapshot must cover.
func (q *QMP) writable() ([]string, error) {
	var nodes []struct {
		Name     string `json:"node-name"`
		Driver   string `json:"drv"`
		ReadOnly bool   `json:"ro"`
	}
	if err := q.Do("query-named-block-nodes", nil, &nodes); err != nil {
		return nil, err
	}
	var names []string
	for _, n := range nodes {
		if n.Driver == "qcow2" && !n.ReadOnly {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}
