package loader

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/rosteros/ros/internal/project"
)

// mounts are the volumes of the service.
func (t *translation) mounts() {
	for _, v := range t.service.Volumes {
		m := mount{Type: v.Type, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
		switch v.Type {
		case types.VolumeTypeBind:
			m.BindOptions = bind(v)
		case types.VolumeTypeVolume:
			t.namedVolume(&m, v)
		case types.VolumeTypeTmpfs:
			if v.Tmpfs != nil {
				m.TmpfsOptions = &tmpfsOptions{SizeBytes: int64(v.Tmpfs.Size), Mode: v.Tmpfs.Mode}
			}
		case types.VolumeTypeImage:
			if v.Image != nil {
				m.ImageOptions = &imageOptions{Subpath: v.Image.SubPath}
			}
		default:
			t.wrongKey("volumes", "type %q is not supported: it must be \"bind\", \"volume\", \"tmpfs\" or \"image\"", v.Type)
			continue
		}
		if v.Bind != nil && v.Bind.SELinux != "" { // only the old form of a mount has this option
			t.out.HostConfig.Binds = append(t.out.HostConfig.Binds, v.String())
			continue
		}
		t.out.HostConfig.Mounts = append(t.out.HostConfig.Mounts, m)
	}
}

func bind(v types.ServiceVolumeConfig) *bindOptions {
	if v.Bind == nil {
		return nil
	}
	o := &bindOptions{Propagation: v.Bind.Propagation, CreateMountpoint: bool(v.Bind.CreateHostPath)}
	switch v.Bind.Recursive {
	case "disabled":
		o.NonRecursive = true
	case "writable":
		o.ReadOnlyNonRecursive = true
	case "readonly":
		o.ReadOnlyForceRecursive = true
	}
	return o
}

// namedVolume points to the volume by its name in the engine.
func (t *translation) namedVolume(m *mount, v types.ServiceVolumeConfig) {
	if v.Volume != nil {
		m.VolumeOptions = &volumeOptions{NoCopy: v.Volume.NoCopy, Subpath: v.Volume.Subpath, Labels: v.Volume.Labels}
	}
	config, ok := t.project.Volumes[v.Source]
	if !ok {
		return // without a name
	}
	m.Source = config.Name
	if slices.ContainsFunc(t.container.Volumes, func(have project.Object) bool { return have.Name == config.Name }) {
		return
	}
	o := project.Object{Name: config.Name, Key: v.Source, External: bool(config.External)}
	if !o.External {
		o.Create = text(volume{
			Name: config.Name, Driver: config.Driver, DriverOpts: config.DriverOpts,
			Labels: t.owned(config.Labels, "com.docker.compose.volume", v.Source),
		})
	}
	t.container.Volumes = append(t.container.Volumes, o)
}

// owned are the labels by which docker compose knows what is its own.
func (t *translation) owned(labels types.Labels, kind, key string) map[string]string {
	all := map[string]string{
		kind:                         key,
		"com.docker.compose.project": t.project.Name,
		"com.docker.compose.version": ComposeVersion,
	}
	for name, value := range labels {
		all[name] = value
	}
	return all
}

// text is a value as JSON; those given here cannot fail.
func text(v any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return out
}

// files are the configs and secrets. One that is a file on the machine is
// mounted, as docker compose does; one with its content in the service file or
// in a variable is written into the container.
func (t *translation) files() {
	for _, ref := range t.service.Configs {
		if from, ok := t.project.Configs[ref.Source]; ok {
			t.file("config", types.FileReferenceConfig(ref), types.FileObjectConfig(from), "/"+ref.Source)
		}
	}
	for _, ref := range t.service.Secrets {
		if from, ok := t.project.Secrets[ref.Source]; ok {
			target := "/run/secrets/" + ref.Source
			if ref.Target != "" && !path.IsAbs(ref.Target) {
				ref.Target = "/run/secrets/" + ref.Target
			}
			t.file("secret", types.FileReferenceConfig(ref), types.FileObjectConfig(from), target)
		}
	}
}

func (t *translation) file(kind string, ref types.FileReferenceConfig, from types.FileObjectConfig, target string) {
	if ref.Target != "" {
		target = ref.Target
	}
	if from.File != "" {
		t.out.HostConfig.Mounts = append(t.out.HostConfig.Mounts, mount{
			Type: "bind", Source: from.File, Target: target, ReadOnly: true, BindOptions: &bindOptions{},
		})
		return
	}
	if t.service.ReadOnly { // the engine does not let anybody write into such a container
		t.wrongKey(kind+"s", "%s %q: with \"read_only\" it must be a file", kind, ref.Source)
	}
	f := project.File{Path: target, Text: []byte(from.Content), Mode: 0o444}
	if from.Environment != "" && from.Content == "" {
		value, set := t.project.Environment[from.Environment]
		if !set {
			t.wrongKey(kind+"s", "%s %q: variable %s is not set", kind, ref.Source, from.Environment)
		}
		f.Text = []byte(value)
	}
	if ref.Mode != nil {
		f.Mode = int64(*ref.Mode)
	}
	var err1, err2 error
	if ref.UID != "" {
		f.UID, err1 = strconv.Atoi(ref.UID)
	}
	if ref.GID != "" {
		f.GID, err2 = strconv.Atoi(ref.GID)
	}
	if err1 != nil || err2 != nil {
		t.wrongKey(kind+"s", "%s %q: uid and gid must be numbers", kind, ref.Source)
	}
	t.container.Files = append(t.container.Files, f)
}
