package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) dockerImages() *cli.Command {
	return &cli.Command{
		Name: "images", Usage: "the images of the system, those of the OS image first", ArgsUsage: "[NAME]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Local: true, Hidden: true},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print IDs only", Local: true},
			&cli.BoolFlag{Name: "no-trunc", Usage: "print all of it", Local: true},
			&cli.BoolFlag{Name: "digests", Usage: "show what names stand for at their registry", Local: true},
			formatFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			var list []control.Image
			if err := a.daemon().ask(ctx, "GET", "/v1/images", nil, &list); err != nil {
				return a.explain("list the images", err)
			}
			return a.printRows(cmd, a.imageRows(list, cmd.Args().First(), cmd.Bool("no-trunc"), cmd.Bool("digests")))
		},
	}
}

// imageRow is what a format of docker images sees.
type imageRow struct {
	ID, Repository, Tag, Digest, CreatedSince, CreatedAt, Size string
}

func (a *app) imageRows(list []control.Image, only string, whole, digests bool) rows {
	r := rows{head: []string{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}}
	if digests {
		r.head = []string{"REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"}
	}
	for _, i := range list {
		repository, tag := splitName(i.Name)
		if only != "" && only != repository && only != repository+":"+tag {
			continue
		}
		id := i.ID
		if !whole {
			id = cut(strings.TrimPrefix(id, "sha256:"), shortID, false)
		}
		row := imageRow{
			ID: id, Repository: repository, Tag: tag, Digest: i.Digest, CreatedSince: a.ago(i.Created),
			CreatedAt: i.Created.In(a.loc).Format("2006-01-02 15:04:05 -0700 MST"), Size: units.HumanSizeWithPrecision(float64(i.Size), 3),
		}
		if i.Baked {
			row.Size = "-" // its files are the OS image's, and shared
		}
		cells := []string{row.Repository, row.Tag, row.ID, row.CreatedSince, row.Size}
		if digests {
			cells = []string{row.Repository, row.Tag, row.Digest, row.ID, row.CreatedSince, row.Size}
		}
		r.cells = append(r.cells, cells)
		r.values, r.quiet = append(r.values, row), append(r.quiet, row.ID)
	}
	return r
}

// splitName is a name as docker prints it: what it leaves out in its full name
// is left out.
func splitName(full string) (repository, tag string) {
	name := shortName(full)
	if name == "" {
		return "<none>", "<none>"
	}
	if repository, _, pinned := strings.Cut(name, "@"); pinned {
		return repository, "<none>"
	}
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		return name[:at], name[at+1:]
	}
	return name, "latest"
}

// shortName is the name of an image without what docker fills in.
func shortName(full string) string {
	const hub = "docker.io/"
	name, ofHub := strings.CutPrefix(full, hub)
	if ofHub {
		name = strings.TrimPrefix(name, "library/")
	}
	return name
}

func (a *app) dockerPull() *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "fetch images for services of the system", ArgsUsage: "NAME…",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print the name only", Local: true}},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if !cmd.Args().Present() {
				return usage("system-docker pull alpine:3", "cannot pull an image: name at least one")
			}
			var faults []error
			for _, name := range cmd.Args().Slice() {
				faults = append(faults, a.pull(ctx, name, cmd.Bool("quiet")))
			}
			return errors.Join(faults...)
		},
	}
}

// pull fetches an image and shows how far it is.
func (a *app) pull(ctx context.Context, name string, quiet bool) error {
	t, err := a.daemon().talk(ctx, "POST", "/v1/images/pull", control.ImageName{Name: name})
	if err != nil {
		return a.explain("pull "+name, err)
	}
	defer t.Close()
	list, err := a.follow(t, quiet)
	if err != nil {
		return a.explain("pull "+name, err)
	}
	for _, i := range list {
		if !quiet {
			fmt.Fprintf(a.stdout, "Digest: %s\n", i.Digest)
		}
		fmt.Fprintln(a.stdout, i.Name)
	}
	return nil
}

// follow shows the steps of a stream and returns the images it ends with.
func (a *app) follow(in io.Reader, quiet bool) ([]control.Image, error) {
	screen := &layers{to: a.stdout, terminal: a.terminal, quiet: quiet}
	var list []control.Image
	for lines := json.NewDecoder(in); ; {
		var step control.ImageStep
		if err := lines.Decode(&step); errors.Is(err, io.EOF) {
			return list, io.ErrUnexpectedEOF // it did not say how it ended
		} else if err != nil {
			return list, err
		}
		switch {
		case step.Error != "":
			return list, &refusal{message: step.Error}
		case step.Done:
			return list, nil
		case step.Image != nil:
			list = append(list, *step.Image)
		case step.Step != nil:
			screen.show(*step.Step)
		case step.Text != "":
			screen.text(step.Text)
		}
	}
}

func (a *app) dockerLoad() *cli.Command {
	return &cli.Command{
		Name: "load", Usage: "take images out of a tar archive (docker save, OCI; gzip, xz, zstd)",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "read a `FILE`, not standard input", Local: true},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print the names only", Local: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			in := a.stdin
			if path := cmd.String("input"); path != "" {
				f, err := os.Open(path)
				if err != nil {
					return fmt.Errorf("cannot load images: %w", err)
				}
				defer f.Close()
				in = f
			}
			return a.load(ctx, in, cmd.Bool("quiet"))
		},
	}
}

func (a *app) load(ctx context.Context, in io.Reader, quiet bool) error {
	t, err := a.daemon().talk(ctx, "POST", "/v1/images/load", nil)
	if err != nil {
		return a.explain("load images", err)
	}
	defer t.Close()
	go func() {
		// When the other side has had enough, it says why in its answer.
		_, _ = io.Copy(t.conn, in)
		_ = t.end()
	}()
	list, err := a.follow(t, quiet)
	if err != nil {
		return a.explain("load images", err)
	}
	for _, i := range list {
		if i.Name == "" {
			fmt.Fprintf(a.stdout, "Loaded image ID: %s\n", i.ID)
			continue
		}
		fmt.Fprintf(a.stdout, "Loaded image: %s\n", shortName(i.Name))
	}
	return nil
}

func (a *app) dockerSave() *cli.Command {
	return &cli.Command{
		Name: "save", Usage: "write images as a tar archive that docker load takes", ArgsUsage: "NAME…",
		Flags: []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to a `FILE`, not to standard output", Local: true}},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			path := cmd.String("output")
			switch {
			case !cmd.Args().Present():
				return usage("system-docker images", "cannot save an image: name at least one")
			case path == "" && a.terminal:
				return usage(cmd.FullName()+" -o FILE", "cannot write an archive to a terminal")
			}
			if path == "" {
				return a.save(ctx, a.stdout, cmd.Args().Slice())
			}
			f, err := os.Create(path)
			if err != nil {
				return fmt.Errorf("cannot save images: %w", err)
			}
			if err := errors.Join(a.save(ctx, f, cmd.Args().Slice()), f.Close()); err != nil {
				_ = os.Remove(path)
				return err
			}
			return nil
		},
	}
}

func (a *app) save(ctx context.Context, to io.Writer, names []string) error {
	t, err := a.daemon().talk(ctx, "POST", "/v1/images/save", control.ImageNames{Names: names})
	if err != nil {
		return a.explain("save images", err)
	}
	defer t.Close()
	_, err = readFrames(t, to, io.Discard)
	return a.explain("save images", err)
}

func (a *app) dockerRemoveImage() *cli.Command {
	return &cli.Command{
		Name: "rmi", Usage: "remove images", ArgsUsage: "NAME…",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "also those that a service needs", Local: true}},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if !cmd.Args().Present() {
				return usage("system-docker images", "cannot remove an image: name at least one")
			}
			var faults []error
			for _, name := range cmd.Args().Slice() {
				var image control.Image
				err := a.daemon().ask(ctx, "POST", "/v1/images/remove", control.ImageName{Name: name, Force: cmd.Bool("force")}, &image)
				if err == nil {
					fmt.Fprintf(a.stdout, "Untagged: %s\n", shortName(image.Name))
				}
				faults = append(faults, a.explain("remove image "+name, err))
			}
			return errors.Join(faults...)
		},
	}
}

func (a *app) dockerTag() *cli.Command {
	return &cli.Command{
		Name: "tag", Usage: "give an image another name", ArgsUsage: "NAME OTHER",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 2 {
				return usage(cmd.FullName()+" alpine:3 mine:1", "cannot name an image: give the image and its other name")
			}
			var image control.Image
			tag := control.ImageTag{Name: cmd.Args().Get(0), As: cmd.Args().Get(1)}
			return a.explain("name image "+tag.Name, a.daemon().ask(ctx, "POST", "/v1/images/tag", tag, &image))
		},
	}
}

func (c client) image(ctx context.Context, name string) (out control.Image, err error) {
	return out, c.ask(ctx, "GET", "/v1/images/one?name="+url.QueryEscape(name), nil, &out)
}
