package netconf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/reaper"
)

const (
	settleTime = 50 * time.Millisecond // changes of a link come in handfuls
	retryTime  = 10 * time.Second      // after something that could not be done
	leaseLook  = 100 * time.Millisecond
	resolvTime = 10 * time.Second
)

// Service looks after the links. It is the one that waits for children: what
// uses it must not use os/exec.
type Service struct {
	Paths  Paths
	DHCPCD string // the program
	Log    *slog.Logger
}

// Run sets up the links, and those that come later, until ctx ends. It ends at
// once if from now on the usual dhcpcd can do all there is to do: done is true
// then, and nothing is left to be taken back. Whatever cannot be done for one
// link is in the log and in a file for the health check, and is tried again;
// an error is for what ends the service.
func (s Service) Run(ctx context.Context) (done bool, err error) {
	children := reaper.New()
	reaping, reaped := context.WithCancel(context.WithoutCancel(ctx)) // dhcpcd is waited for when ctx has ended
	var waits sync.WaitGroup
	waits.Go(func() { children.Run(reaping) })
	defer waits.Wait()
	defer reaped()
	r, err := s.start(children)
	if err != nil {
		return false, err
	}
	defer r.kernel.close()
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		r.others.Wait()
		err = errors.Join(err, r.dhcpcd.stop(ctx))
	}()
	return r.run(ctx)
}

// running is a Service that runs.
type running struct {
	Service
	kernel   kernel
	settings config.Network
	usual    bool
	commands runner
	dhcpcd   dhcpcd
	owned    map[string]owned // what was done to links
	seen     map[string]int   // links that have been set up since the start, and their numbers
	faults   map[string]error // of links
	others   sync.WaitGroup   // commands that run beside
}

func (s Service) start(children *reaper.Reaper) (*running, error) {
	k, err := openKernel()
	if err != nil {
		return nil, err
	}
	r := &running{
		Service:  s,
		kernel:   k,
		commands: runner{children, commandTime, s.Log},
		dhcpcd:   dhcpcd{reaper: children, paths: s.Paths, path: s.DHCPCD},
		owned:    map[string]owned{},
		seen:     map[string]int{},
		faults:   map[string]error{},
	}
	// With a file that cannot be read the machine is still to be reached.
	if r.settings, err = s.Paths.readSettings(); err != nil {
		s.Log.Error("going on as if the config said nothing", "error", err)
		r.settings = config.Network{}
	}
	if err := readJSON(s.Paths.owned(), &r.owned); err != nil {
		s.Log.Error("what an earlier config has set up stays", "error", err)
	}
	if len(r.settings.Interfaces) == 0 {
		r.settings.Interfaces, r.usual = usual, true
	}
	return r, nil
}

func (r *running) run(ctx context.Context) (done bool, err error) {
	stop := make(chan struct{})
	defer close(stop)
	changes, err := r.kernel.watch(stop) // before the first look, so that nothing is missed
	if err != nil {
		return false, err
	}
	r.commands.run(ctx, "rancher.network.pre_cmds", "", r.settings.PreCmds)
	first, err := r.pass(ctx)
	if err != nil || ctx.Err() != nil {
		return false, err
	}
	if r.usual && len(r.settings.PostCmds) == 0 {
		return true, r.leave()
	}
	r.complain()
	r.others.Go(func() {
		first.Wait()
		r.commands.run(ctx, "rancher.network.post_cmds", "", r.settings.PostCmds)
	})
	return false, r.attend(ctx, changes, stop)
}

// leave takes away what would only be of use to another run. What could not be
// taken back the next start tries again: a machine that is reached over DHCP
// comes first.
func (r *running) leave() error {
	files := []string{r.Paths.faults(), r.Paths.dhcpcdConf()}
	if len(r.faults) == 0 {
		files = append(files, r.Paths.owned())
	}
	for _, path := range files {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// complain says which entries are there for nothing as yet.
func (r *running) complain() {
	links, err := r.kernel.links()
	if err != nil {
		return
	}
	used := map[string]bool{}
	for _, l := range links {
		if key, found := pick(r.settings.Interfaces, l); found {
			used[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.settings.Interfaces)) {
		if !used[key] && !r.usual {
			r.Log.Warn("no link is set up by rancher.network.interfaces." + key + " yet")
		}
	}
}

// attend looks again whenever a link of ours changes or something is to be
// tried again.
func (r *running) attend(ctx context.Context, changes <-chan link, stop <-chan struct{}) error {
	timer := time.NewTimer(retryTime)
	defer timer.Stop()
	if len(r.faults) == 0 {
		timer.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.dhcpcd.ended():
			return fmt.Errorf("dhcpcd has ended: %s", r.dhcpcd.proc.Exit())
		case l, ok := <-changes:
			if !ok {
				var err error
				if changes, err = r.kernel.watch(stop); err != nil {
					return err
				}
			} else if !r.ours(l) {
				continue
			}
			timer.Reset(settleTime)
		case <-timer.C:
			if _, err := r.pass(ctx); err != nil {
				return err
			}
			if len(r.faults) > 0 {
				timer.Reset(retryTime)
			}
		}
	}
}

// ours says whether a change of a link is worth a look.
func (r *running) ours(l link) bool {
	if l.Name == "" {
		return slices.ContainsFunc(slices.Collect(maps.Values(r.owned)), func(o owned) bool { return o.Index == l.Index && len(o.Routes) > 0 })
	}
	_, found := pick(r.settings.Interfaces, l)
	return found || r.owned[l.Name].Index == l.Index || r.seen[l.Name] == l.Index
}

// pass makes all links what they should be. The links that were not there
// before go on in the background: first waits for them.
func (r *running) pass(ctx context.Context) (first *sync.WaitGroup, err error) {
	links, err := r.kernel.links()
	if err != nil {
		return nil, err
	}
	wants := map[string]wanted{}
	var fresh []link
	present := map[string]int{}
	for _, l := range links {
		if ctx.Err() != nil {
			return nil, nil
		}
		present[l.Name] = l.Index
		key, found := pick(r.settings.Interfaces, l)
		if !found {
			r.fault(l, r.takeBack(l))
			continue
		}
		w, wrong := want(key, r.settings.Interfaces[key], l)
		if r.seen[l.Name] != l.Index {
			if l, found = r.prepare(ctx, l, w); !found {
				continue
			}
			fresh = append(fresh, l)
			r.seen[l.Name] = l.Index
		}
		r.fault(l, errors.Join(wrong, r.set(ctx, l, w)))
		wants[l.Name] = w
	}
	r.forgetGone(present)
	r.saveOwned()
	if err := r.askForAddresses(ctx, wants); err != nil {
		return nil, err
	}
	first = r.finish(ctx, fresh, wants)
	return first, r.saveFaults()
}

// prepare runs pre_up, which may change the link or even remove it.
func (r *running) prepare(ctx context.Context, l link, w wanted) (link, bool) {
	if len(w.PreUp) == 0 {
		return l, true
	}
	r.commands.run(ctx, "rancher.network.interfaces."+w.Key+".pre_up", l.Name, w.PreUp)
	links, err := r.kernel.links()
	if err != nil {
		return l, true
	}
	i := slices.IndexFunc(links, func(other link) bool { return other.Index == l.Index && other.Name == l.Name })
	if i < 0 {
		return l, false
	}
	return links[i], true
}

func (r *running) fault(l link, err error) {
	delete(r.faults, l.Name)
	if err != nil {
		r.faults[l.Name] = err
		r.Log.Error("is not as it should be", "link", l.Name, "error", err)
	}
}

// set makes a link what it should be. What is going to be done is written down
// first: a power cut forgets both, a crash neither.
func (r *running) set(ctx context.Context, l link, w wanted) error {
	s := r.setter(l, w)
	lease := r.loseLease(ctx, l, w)
	will := s.plan()
	r.own(l, both(s.had, will))
	if err := s.set(); err != nil {
		return errors.Join(lease, err)
	}
	r.own(l, will)
	return lease
}

func (r *running) setter(l link, w wanted) *setter {
	had := r.owned[l.Name]
	if had.Index != l.Index {
		had = owned{}
	}
	return &setter{kernel: r.kernel, link: l, want: w, had: had, log: r.Log.With("link", l.Name)}
}

// takeBack is for a link that no entry matches.
func (r *running) takeBack(l link) error {
	s := r.setter(l, wanted{})
	lease := r.loseLease(context.Background(), l, wanted{})
	if s.had.empty() {
		r.own(l, owned{})
		return lease
	}
	err := s.undo()
	if err == nil {
		r.own(l, owned{})
	}
	delete(r.seen, l.Name)
	return errors.Join(lease, err)
}

// askForAddresses has dhcpcd look after the links that want it.
func (r *running) askForAddresses(ctx context.Context, wants map[string]wanted) error {
	links := maps.Clone(wants)
	maps.DeleteFunc(links, func(_ string, w wanted) bool { return !w.byDHCPCD() })
	if r.usual && len(r.settings.PostCmds) == 0 {
		return nil // dhcpcd is what we become
	}
	return r.dhcpcd.see(ctx, links)
}

// finish runs post_up of new links, in the background, for a lease may take its
// time.
func (r *running) finish(ctx context.Context, fresh []link, wants map[string]wanted) *sync.WaitGroup {
	var batch sync.WaitGroup
	for _, l := range fresh {
		w := wants[l.Name]
		if len(w.PostUp) == 0 && len(r.settings.PostCmds) == 0 {
			continue
		}
		batch.Add(1)
		r.others.Go(func() {
			defer batch.Done()
			if w.byDHCPCD() {
				r.awaitLease(ctx, l, w)
			}
			r.commands.run(ctx, "rancher.network.interfaces."+w.Key+".post_up", l.Name, w.PostUp)
		})
	}
	return &batch
}
