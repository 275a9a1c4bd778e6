package apply_test

import (
	"errors"
	"testing"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

func TestModules(t *testing.T) {
	m := newMachine(t)
	m.write("sys/module/loop/initstate", "live\n")
	m.write("sys/module/kvm/initstate", "live\n")
	m.fail["load none"] = errors.New(`cannot load kernel module "none": file does not exist`)
	modules := func(list ...string) config.Config {
		return config.Config{Rancher: config.Rancher{Modules: list}}
	}
	m.expect(apply.Modules, modules("nbd nbds_max=4 max_part=2", "loop", "kvm halt_poll_ns=0", "none", "nfs-v4"),
		apply.Outcome{
			Did:   []string{"loaded module nbd", "loaded module nfs-v4"},
			Notes: []string{"module kvm has been loaded already: parameters count from the next boot"},
		}, `rancher.modules: cannot load kernel module "none": file does not exist`)
	m.called("load nbd nbds_max=4 max_part=2", "load none ", "load nfs-v4 ", "load none ")
	m.expect(apply.Modules, modules("nbd nbds_max=8", "loop"), apply.Outcome{Notes: []string{
		"module nbd has been loaded already: parameters count from the next boot",
		"module kvm stays until the next boot",
		"module nfs-v4 stays until the next boot",
	}}, "")
	m.called()
	m.expect(apply.Modules, modules(), apply.Outcome{Notes: []string{
		"module loop stays until the next boot",
		"module nbd stays until the next boot",
	}}, "")
	m.expect(apply.Modules, modules("nfs-v4"), apply.Outcome{}, "")
}
