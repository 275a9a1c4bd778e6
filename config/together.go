package config

import (
	"fmt"
	"slices"
)

// together says what shows only when the layers are read as a whole: keys that
// lack another one.
func (l *loader) together() {
	if s := l.cfg.Swap; s.Size == 0 && s.Filename != "" {
		l.about("swap.filename", Note, "has no effect without swap.size")
	}
	if p := l.cfg.PowerState; p.Mode == "" && p.Delay != "" {
		l.about("power_state.delay", Note, "has no effect without power_state.mode")
	}
}

// about says something about a key where the layer that counts sets it.
func (l *loader) about(key string, s Severity, format string, args ...any) {
	from := l.cfg.Origin(key)
	l.warnings = append(l.warnings, Warning{Layer: from.Layer, Line: from.Line, Key: key, Message: fmt.Sprintf(format, args...), Severity: s})
}

const (
	commitWindow = "rancher.upgrade.commit_window"
	deadline     = "rancher.upgrade.deadline"
)

// trialTimes sees to it that the commit window ends before the deadline: else no
// release could be committed, and every upgrade would fail. Of the two keys that
// one does not count which the higher layer sets; what the layers below say of
// it does. The defaults are in order.
func (l *loader) trialTimes() {
	u, standard := &l.cfg.Rancher.Upgrade, defaults().Rancher.Upgrade
	for u.CommitWindowSeconds >= u.DeadlineSeconds {
		window, end := l.rank(commitWindow), l.rank(deadline)
		switch {
		case window < 0 && end < 0:
			return
		case window >= end:
			l.about(commitWindow, Wrong, "must be less than %s, which is %d%s", deadline, u.DeadlineSeconds, l.beside(deadline, commitWindow))
			l.drop(commitWindow, &u.CommitWindowSeconds, standard.CommitWindowSeconds)
		default:
			l.about(deadline, Wrong, "must be more than %s, which is %d%s", commitWindow, u.CommitWindowSeconds, l.beside(commitWindow, deadline))
			l.drop(deadline, &u.DeadlineSeconds, standard.DeadlineSeconds)
		}
	}
}

// rank says how high the layer is that sets a key; -1: none does.
func (l *loader) rank(key string) int { return slices.Index(l.order, l.cfg.Origin(key).Layer) }

// beside is where a key comes from, unless it is where the other one does.
func (l *loader) beside(key, other string) string {
	from := l.cfg.Origin(key)
	switch {
	case from.Layer == l.cfg.Origin(other).Layer:
		return ""
	case from.Line == 0:
		return " (" + from.Layer + ")"
	}
	return fmt.Sprintf(" (%s:%d)", from.Layer, from.Line)
}

// drop gives a number the value that the layers below have for it.
func (l *loader) drop(key string, field *int, standard int) {
	all := l.cfg.origins[key]
	all = slices.Clone(all[:len(all)-1])
	if len(all) == 0 {
		delete(l.cfg.origins, key)
		*field = standard
		return
	}
	l.cfg.origins[key] = all
	*field = all[len(all)-1].value.(int)
}
