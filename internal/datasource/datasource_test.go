package datasource_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
)

// script is a source that answers as its steps say, one for each time it is
// asked; the last one for ever.
type script struct {
	name  string
	steps []error // nil: it answers
	takes time.Duration
	asked []time.Duration // when it was asked
	start time.Time
}

func (s *script) Name() string { return s.name }

func (s *script) Fetch(ctx context.Context) (*datasource.Data, error) {
	if s.start.IsZero() {
		s.start = time.Now()
	}
	s.asked = append(s.asked, time.Since(s.start))
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	step := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	if step != nil {
		return nil, step
	}
	return &datasource.Data{InstanceID: "of " + s.name}, nil
}

func TestFirst(t *testing.T) {
	down, gone := errors.New("connection refused"), datasource.ErrAbsent
	for _, tt := range []struct {
		name    string
		sources []*script
		want    string
		wantErr string
		absent  bool
	}{
		{name: "none", wantErr: "no datasource to ask: not there", absent: true},
		{name: "one", sources: []*script{{name: "a", steps: []error{nil}}}, want: "a"},
		{name: "the second one has it", sources: []*script{{name: "a", steps: []error{gone}}, {name: "b", steps: []error{nil}, takes: time.Second}}, want: "b"},
		{name: "the faster one", sources: []*script{{name: "a", steps: []error{nil}, takes: 2 * time.Second}, {name: "b", steps: []error{nil}, takes: time.Second}}, want: "b"},
		{name: "up later", sources: []*script{{name: "a", steps: []error{down, down, down, nil}}}, want: "a"},
		{name: "all absent", sources: []*script{{name: "a", steps: []error{gone}}, {name: "b", steps: []error{down, gone}}},
			wantErr: "a: not there\nb: not there", absent: true},
		{name: "never up", sources: []*script{{name: "a", steps: []error{gone}}, {name: "b", steps: []error{down}}},
			wantErr: "a: not there\nb: connection refused"},
		{name: "hangs", sources: []*script{{name: "a", steps: []error{nil}, takes: time.Hour}}, wantErr: "a: no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
				defer stop()
				var sources []datasource.Source
				for _, s := range tt.sources {
					sources = append(sources, s)
				}
				data, err := datasource.First(ctx, sources, slog.New(slog.DiscardHandler))
				if text(err) != tt.wantErr {
					t.Errorf("First() error = %q, want %q", text(err), tt.wantErr)
				}
				if errors.Is(err, datasource.ErrAbsent) != tt.absent {
					t.Errorf("First() error is ErrAbsent: %v, want %v", !tt.absent, tt.absent)
				}
				got := ""
				if data != nil {
					got = data.Source
				}
				if got != tt.want {
					t.Errorf("First() is from %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestFirstWaitsLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Second)
		defer stop()
		s := &script{name: "a", steps: []error{errors.New("down")}}
		if _, err := datasource.First(ctx, []datasource.Source{s}, slog.New(slog.DiscardHandler)); err == nil {
			t.Fatal("First() found something")
		}
		ms := time.Millisecond
		want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 12700 * ms, 25500 * ms, 51100 * ms, 81100 * ms}
		if diff := cmp.Diff(want, s.asked); diff != "" {
			t.Errorf("asked after (-want +got):\n%s", diff)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
