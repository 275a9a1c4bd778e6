package main

import (
	"context"
	"maps"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// scopes runs each service where it belongs: those of the OS in the system's
// containerd, those of the user in the engine.
type scopes struct{ system, user supervise.Runtime }

var _ supervise.Runtime = scopes{}

func (s scopes) of(svc compose.Service) supervise.Runtime {
	if svc.Scope == compose.ScopeUser {
		return s.user
	}
	return s.system
}

func (s scopes) Start(ctx context.Context, svc compose.Service) (supervise.Task, error) {
	return s.of(svc).Start(ctx, svc)
}

func (s scopes) Running(ctx context.Context) (map[string]supervise.Task, error) {
	tasks, err := s.system.Running(ctx)
	if err != nil {
		return nil, err
	}
	more, err := s.user.Running(ctx)
	if err != nil && !supervise.IsDown(err) {
		return nil, err
	}
	all := maps.Clone(more)
	if all == nil {
		all = map[string]supervise.Task{}
	}
	maps.Copy(all, tasks) // of two with one name ours counts
	return all, nil
}

func (s scopes) Remove(ctx context.Context, svc compose.Service) error {
	return s.of(svc).Remove(ctx, svc)
}

func (s scopes) DefinitionHash(svc compose.Service) (string, error) {
	return s.of(svc).DefinitionHash(svc)
}

func (s scopes) Spec(svc compose.Service) ([]byte, error) { return s.of(svc).Spec(svc) }
