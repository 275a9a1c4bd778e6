package netconf

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/reaper"
)

// commandTime is how long one command may take. A link must not wait for one
// that hangs for ever.
const commandTime = 30 * time.Second

// searchPath is where commands are looked for.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// runner runs commands of the config. One that fails is no reason not to set up
// a link: it is logged.
type runner struct {
	reaper *reaper.Reaper
	limit  time.Duration
	log    *slog.Logger
}

// run runs them one after the other. iface is "" for those that belong to no
// link.
func (r runner) run(ctx context.Context, key, iface string, commands []config.Command) {
	for _, c := range commands {
		if ctx.Err() != nil {
			return
		}
		log := r.log.With("key", key)
		if iface != "" {
			log = log.With("link", iface)
		}
		r.one(ctx, log, iface, c)
	}
}

func (r runner) one(ctx context.Context, log *slog.Logger, iface string, c config.Command) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	out, code, err := r.reaper.Output(ctx, command(iface, c))
	text := strings.TrimSpace(string(out))
	switch {
	case ctx.Err() == context.DeadlineExceeded && err != nil:
		log.Error(fmt.Sprintf("command was ended: it took more than %s", r.limit), "output", text)
	case err != nil:
		log.Error("command could not be run", "error", err, "output", text)
	case code != 0:
		log.Error(fmt.Sprintf("command ended with exit code %d", code), "output", text)
	case text != "":
		log.Info("command printed", "output", text)
	}
}

// command gives words to env, which finds the program, and a line to a shell.
// In both of them $iface is the link: a word is what a shell would make of it
// if it knew no other variable.
func command(iface string, c config.Command) reaper.Command {
	args := []string{"sh", "-c", c.Line}
	path := "/bin/sh"
	if c.Words != nil {
		path, args = "/usr/bin/env", []string{"env"}
		for _, word := range c.Words {
			args = append(args, strings.NewReplacer("${iface}", iface, "$iface", iface).Replace(word))
		}
	}
	env := []string{"PATH=" + searchPath, "HOME=/root", "LANG=C.UTF-8"}
	if iface != "" {
		env = append(env, "iface="+iface)
	}
	return reaper.Command{Path: path, Args: args, Env: env, Dir: string(os.PathSeparator)}
}
