package main

import (
	"context"
	"time"
)

// writeTime bounds a verb whose effect is one write. The signal that would end
// it is not obeyed meanwhile.
const writeTime = 2 * time.Minute

// slotVerbs are the verbs about which system starts next.
func slotVerbs() []verb {
	return []verb{
		{name: "status", run: func(ctx context.Context, c call) (any, error) {
			m, err := machineFor(c)
			if err != nil {
				return nil, err
			}
			return m.status(ctx), nil
		}},
		onMachine("commit", func(ctx context.Context, m *machine) (any, error) { return m.commit(ctx) }),
		onMachine("rollback", func(ctx context.Context, m *machine) (any, error) { return m.rollback(ctx) }),
		onMachine("disarm", func(ctx context.Context, m *machine) (any, error) { return m.disarm(ctx) }),
		onMachine("rearm", func(ctx context.Context, m *machine) (any, error) { return m.rearm(ctx) }),
		onMachine("settle", func(ctx context.Context, m *machine) (any, error) { return m.settle(ctx) }),
	}
}

// onMachine is a verb that writes.
func onMachine(name string, work func(context.Context, *machine) (any, error)) verb {
	return verb{name: name, alone: true, run: func(ctx context.Context, c call) (any, error) {
		m, err := machineFor(c)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
		defer cancel()
		return work(ctx, m)
	}}
}

// machineFor is this machine, for a verb without options.
func machineFor(c call) (*machine, error) {
	if err := c.decode(&struct{}{}); err != nil {
		return nil, err
	}
	return thisMachine(c)
}
