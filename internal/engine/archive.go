package engine

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Archive writes an image of folders, the lowest layer first, as "docker load"
// takes it. Nothing is written to the disk: the folders are read twice.
func Archive(w io.Writer, layers []string, architecture string, names ...string) error {
	var diffs, files []string
	var sizes []int64
	for i, dir := range layers {
		sum := sha256.New()
		count := &counter{}
		if err := pack(io.MultiWriter(sum, count), dir); err != nil {
			return fmt.Errorf("cannot pack %s: %w", dir, err)
		}
		diffs = append(diffs, "sha256:"+hex.EncodeToString(sum.Sum(nil)))
		files = append(files, fmt.Sprintf("%d/layer.tar", i))
		sizes = append(sizes, count.n)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": architecture, "os": "linux",
		"config": map[string]any{"Env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": names, "Layers": files}})
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	for i, dir := range layers {
		if err := out.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: sizes[i]}); err != nil {
			return err
		}
		if err := pack(out, dir); err != nil {
			return fmt.Errorf("cannot pack %s: %w", dir, err)
		}
	}
	for name, text := range map[string][]byte{"config.json": config, "manifest.json": manifest} {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return out.Close()
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// pack writes a folder as a tar, twice the same.
func pack(w io.Writer, dir string) error {
	out := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return packOne(out, dir, path)
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func packOne(out *tar.Writer, dir, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	if header.Name, err = filepath.Rel(dir, path); err != nil {
		return err
	}
	if info.IsDir() {
		header.Name += "/"
	}
	header.ModTime, header.AccessTime, header.ChangeTime = info.ModTime().Truncate(time.Second), time.Time{}, time.Time{}
	header.Uname, header.Gname = "", ""
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		header.Uid, header.Gid = int(stat.Uid), int(stat.Gid)
	}
	if err := out.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}
