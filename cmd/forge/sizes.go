package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sizes prints what everything weighs. Unpacked bytes are of the files alone;
// a file that several images share is counted in the layer that brings it.
func (f *forge) sizes() error {
	layers := map[string]int64{}
	dirs, err := os.ReadDir(filepath.Join(f.shared, "layers"))
	if err != nil {
		return err
	}
	fmt.Fprintf(f.out, "LAYER%26s %12s\n", "", "UNPACKED")
	for _, d := range dirs {
		if layers[d.Name()], err = treeSize(filepath.Join(f.shared, "layers", d.Name())); err != nil {
			return err
		}
		fmt.Fprintf(f.out, "%-31s %12s\n", d.Name(), mega(layers[d.Name()]))
	}
	recipes, err := f.recipes()
	if err != nil {
		return err
	}
	fmt.Fprintf(f.out, "\nIMAGE%26s %12s  LAYERS\n", "", "UNPACKED")
	for _, r := range recipes {
		var total int64
		var names []string
		for b := r; b != nil; b = b.from {
			total += layers[b.folder]
			names = append([]string{b.folder}, names...)
		}
		fmt.Fprintf(f.out, "%-31s %12s  %s\n", r.Name, mega(total), strings.Join(names, " + "))
	}
	fmt.Fprintf(f.out, "\nBINARY%25s %12s\n", "", "SIZE")
	for _, p := range slices.Concat(ours, theirs) {
		if err := f.printSize(p.name, filepath.Join(f.shared, "bin", p.name)); err != nil {
			return err
		}
	}
	fmt.Fprintf(f.out, "\nFILE%27s %12s\n", "", "SIZE")
	var download int64
	for _, name := range []string{"vmlinuz", "initrd.img", "os.img"} {
		info, err := os.Stat(f.osFile(name))
		if err != nil {
			return err
		}
		download += info.Size()
		fmt.Fprintf(f.out, "%-31s %12s\n", name, mega(info.Size()))
	}
	fmt.Fprintf(f.out, "%-31s %12s\n", "download (all three)", mega(download))
	return f.printSize("roster.iso", f.osFile("roster.iso"))
}

func (f *forge) printSize(name, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(f.out, "%-31s %12s\n", name, mega(info.Size()))
	return nil
}

func mega(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

func treeSize(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
