package catalog_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/signature"
)

// site is a repository behind an address.
type site struct {
	files map[string]string // by address
	down  bool
	asked []string
}

func (s *site) get(_ context.Context, address string) ([]byte, error) {
	s.asked = append(s.asked, address)
	if s.down {
		return nil, errors.New("no route to host")
	}
	text, ok := s.files[address]
	if !ok {
		return nil, fmt.Errorf("%s: %w", address, fs.ErrNotExist)
	}
	return []byte(text), nil
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

const shop = "services: {shop: {image: test/shop}}\n"

func TestRancherOSRepository(t *testing.T) {
	s := &site{files: map[string]string{
		"http://x/v1/index.yml":  "services: [shop, zfs]\nconsoles: [debian]\nengines: []\n",
		"http://x/v1/s/shop.yml": shop,
	}}
	c := &catalog.Catalog{Cache: t.TempDir(), Fetch: s.get, Repositories: []catalog.Repository{{Name: "core", URL: "http://x/v1/"}}}
	open := func(refresh bool) {
		t.Helper()
		f, err := c.Open(t.Context(), "shop", refresh)
		want := catalog.File{Name: "shop", Origin: "http://x/v1/s/shop.yml", Text: []byte(shop), Repo: "core"}
		if diff := cmp.Diff(want, f); diff != "" || err != nil {
			t.Fatalf("Open = %v (-want +got):\n%s", err, diff)
		}
	}
	open(false)
	s.down, s.asked = true, nil
	open(false)
	if len(s.asked) > 0 { // not even for the signature, which there is none of
		t.Errorf("what is cached was asked for: %v", s.asked)
	}
	_, err := c.Open(t.Context(), "shop", true)
	if want := `cannot use repository "core": no route to host`; err == nil || err.Error() != want {
		t.Errorf("refresh while it is down: %v, want %s", err, want)
	}
	_, err = c.Open(t.Context(), "shpo", false)
	if want := `no catalog has "shpo" (did you mean "shop"?)`; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	if _, err := c.Find(t.Context(), catalog.Consoles, "shop", false); err == nil {
		t.Error("a service was found among the consoles")
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "s"), 0o755)
	os.WriteFile(filepath.Join(dir, "index.yml"), []byte("services: [shop]"), 0o644)
	os.WriteFile(filepath.Join(dir, "s/shop.yml"), []byte(shop), 0o644)
	c := &catalog.Catalog{Cache: t.TempDir(), Repositories: []catalog.Repository{{Name: "core", URL: "file://" + dir}}}
	f, err := c.Open(t.Context(), "shop", false)
	if err != nil || f.Origin != dir+"/s/shop.yml" || f.Dir != dir+"/s" {
		t.Errorf("Open = %+v, %v", f, err)
	}
	f, err = c.Open(t.Context(), dir+"/s/shop.yml", false)
	if err != nil || f.Name != "shop" || f.Dir != dir+"/s" {
		t.Errorf("Open of a path = %+v, %v", f, err)
	}
	for what, want := range map[string]string{
		"a/b":           `"a/b" is no name, no address and no path that begins with /`,
		dir + "/no.yml": "cannot read " + dir + "/no.yml: ",
		"":              "the name is missing",
	} {
		if _, err := c.Open(t.Context(), what, false); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Open(%q) = %v, want %s", what, err, want)
		}
	}
}

func TestSignedIndex(t *testing.T) {
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := signature.Generate()
	index := "services: [shop]\nsha256: {s/shop.yml: " + sum(shop) + "}\n"
	signed := func(k signature.PrivateKey, text string) string {
		sig, err := catalog.Sign([]byte(text), k)
		if err != nil {
			t.Fatal(err)
		}
		return string(sig)
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // error; "": none
	}{
		{name: "signed", files: map[string]string{"index.yml": index, "index.yml.sig": signed(key, index), "s/shop.yml": shop}},
		{name: "not signed", files: map[string]string{"index.yml": index, "s/shop.yml": shop}, want: `cannot use repository "core": its index is not signed, and has to be`},
		{name: "by somebody else", files: map[string]string{"index.yml": index, "index.yml.sig": signed(other, index), "s/shop.yml": shop}, want: `cannot use repository "core": index.yml: `},
		{name: "another index", files: map[string]string{"index.yml": index + "#", "index.yml.sig": signed(key, index), "s/shop.yml": shop}, want: `cannot use repository "core": index.yml: `},
		{name: "no digest", files: map[string]string{"index.yml": "services: [shop]", "index.yml.sig": signed(key, "services: [shop]"), "s/shop.yml": shop}, want: `cannot use repository "core": index.yml has no digest of s/shop.yml`},
		{name: "another file", files: map[string]string{"index.yml": index, "index.yml.sig": signed(key, index), "s/shop.yml": shop + "#"}, want: `cannot use "shop" of repository "core": it is not the file that the index names`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &site{files: map[string]string{}}
			for name, text := range tt.files {
				s.files["http://x/"+name] = text
			}
			c := &catalog.Catalog{Cache: t.TempDir(), Fetch: s.get, Repositories: []catalog.Repository{
				{Name: "core", URL: "http://x", Signed: true, Keys: []signature.PublicKey{key.Public("release")}},
			}}
			_, err := c.Open(t.Context(), "shop", false)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if index, _ := c.Index(t.Context(), c.Repositories[0], false); tt.want == "" && index.SignedBy != "release" {
				t.Errorf("signed by %q, want release", index.SignedBy)
			}
		})
	}
}

// A key that is set later finds the signature that has come meanwhile.
func TestSignatureThatComesLater(t *testing.T) {
	s := &site{files: map[string]string{"http://x/index.yml": "services: []\n"}}
	c := &catalog.Catalog{Cache: t.TempDir(), Fetch: s.get}
	for _, tt := range []struct {
		what            string
		signed, refresh bool
		asked           int
	}{
		{"first", false, false, 2},
		{"cached", false, false, 0},
		{"it has to be signed", true, false, 1},
		{"refreshed", false, true, 2},
	} {
		s.asked = nil
		_, err := c.Index(t.Context(), catalog.Repository{Name: "x", URL: "http://x", Signed: tt.signed}, tt.refresh)
		if (err != nil) != tt.signed || len(s.asked) != tt.asked {
			t.Errorf("%s: %v, asked for %v", tt.what, err, s.asked)
		}
	}
}

func TestStore(t *testing.T) {
	s := catalog.Store{Dir: filepath.Join(t.TempDir(), "enabled")}
	e := catalog.Enabled{Key: "http://x/shop.yml", Name: "shop", Origin: "http://x/shop.yml", Services: []string{"shop"}}
	for range 2 {
		if err := s.Put(e, catalog.Content{File: []byte(shop), Project: []byte("{}"), Beside: []byte("[]")}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Get(e.Key)
	if err != nil || got.SHA256 != sum(shop) || got.Name != "shop" {
		t.Errorf("Get = %+v, %v", got, err)
	}
	c, err := s.Content(got)
	if err != nil || string(c.File) != shop || string(c.Project) != "{}" || string(c.Beside) != "[]" {
		t.Errorf("Content = %+v, %v", c, err)
	}
	// A power cut between the two renames of Put.
	dir := s.Folder(e.Key)
	os.Rename(dir, dir+".old")
	os.Mkdir(filepath.Join(s.Dir, ".new-1"), 0o755)
	if err := s.Recover(); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(s.Dir)
	if _, err := s.Get(e.Key); err != nil || len(entries) != 1 {
		t.Errorf("after a power cut: %v, %d entries", err, len(entries))
	}
	if err := s.Remove(e.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(e.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get after Remove = %v", err)
	}
	if entries, _ := os.ReadDir(s.Dir); len(entries) > 0 {
		t.Errorf("after Remove there is %v", entries)
	}
}

// The power goes away while a file is forgotten: what is left of it is nobody's data.
func TestStoreRemoveCutShort(t *testing.T) {
	s := catalog.Store{Dir: filepath.Join(t.TempDir(), "enabled")}
	e := catalog.Enabled{Key: "/opt/shop/shop.yml", Name: "shop"}
	if err := s.Put(e, catalog.Content{File: []byte(shop), Project: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	file := s.File(e)
	// A folder cannot be removed as a file is, so it ends there.
	if err := errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "x"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(e.Key); err == nil {
		t.Fatal("no error")
	}
	if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, []byte(shop), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(e.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get = %v", err)
	}
	if got := s.Home(e.Key, "/opt/shop"); got != "/opt/shop" {
		t.Errorf("Home = %s", got)
	}
	if err := s.Recover(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(s.Dir); len(entries) > 0 {
		t.Errorf("after Recover there is %v", entries)
	}
}

// Containers may write to the folder of a file that an earlier version enabled.
func TestStoreLeavesData(t *testing.T) {
	s := catalog.Store{Dir: filepath.Join(t.TempDir(), "enabled")}
	e := catalog.Enabled{Key: "http://x/shop.yml", Name: "shop", Services: []string{"shop"}}
	put := func(project []byte) {
		t.Helper()
		if err := s.Put(e, catalog.Content{File: []byte(shop), Project: project}); err != nil {
			t.Fatal(err)
		}
	}
	there := func(when string) {
		t.Helper()
		if text, err := os.ReadFile(filepath.Join(s.Folder(e.Key), "data", "precious")); string(text) != "x" {
			t.Errorf("after %s the data are %q, %v", when, text, err)
		}
	}
	put([]byte("{}"))
	if got, want := s.Home(e.Key, ""), s.Dir+"-data/"+filepath.Base(s.Folder(e.Key)); got != want {
		t.Errorf("Home = %s, want %s", got, want)
	}
	if got := s.Home(e.Key, "/opt/shop"); got != "/opt/shop" {
		t.Errorf("Home of a file of the machine = %s", got)
	}
	os.Mkdir(filepath.Join(s.Folder(e.Key), "data"), 0o755)
	os.WriteFile(filepath.Join(s.Folder(e.Key), "data", "precious"), []byte("x"), 0o600)
	if got := s.Home(e.Key, "/opt/shop"); got != s.Folder(e.Key) {
		t.Errorf("Home with data = %s, want %s", got, s.Folder(e.Key))
	}
	put(nil)
	there("Put")
	if c, err := s.Content(e); c.Project != nil || c.Beside != nil || err != nil {
		t.Errorf("the project that is no more: %+v, %v", c, err)
	}
	os.Mkdir(s.Folder(e.Key)+".next", 0o755) // a power cut while Put moves files
	os.WriteFile(filepath.Join(s.Folder(e.Key)+".next", "shop.yml"), []byte("new"), 0o600)
	if err := s.Recover(); err != nil {
		t.Fatal(err)
	}
	there("Recover")
	if c, _ := s.Content(e); string(c.File) != "new" {
		t.Errorf("after a power cut the file is %q", c.File)
	}
	if err := s.Remove(e.Key); err != nil {
		t.Fatal(err)
	}
	there("Remove")
	if _, err := s.Get(e.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get after Remove = %v", err)
	}
	if got := s.Home(e.Key, ""); got != s.Folder(e.Key) {
		t.Errorf("Home for a second time = %s, want %s", got, s.Folder(e.Key))
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "images"), 0o755)
	os.WriteFile(filepath.Join(dir, "images/shop.tar"), []byte("the archive"), 0o644)
	index := "images: {test/shop:1: {file: images/shop.tar, digest: 'sha256:" + sum("shop") + "'}}\n"
	os.WriteFile(filepath.Join(dir, "index.yml"), []byte(index), 0o644)
	s := &site{files: map[string]string{
		"http://a/index.yml": "images: {test/shop:1: {file: b.tar, digest: 'sha256:" + sum("other") + "'}}",
		"http://b/index.yml": "arch: none\nimages: {test/shop:1: {file: b.tar, digest: 'sha256:" + sum("other") + "'}}",
	}}
	c := &catalog.Catalog{Cache: t.TempDir(), Fetch: s.get, Repositories: []catalog.Repository{
		{Name: "down", URL: "http://down"}, {Name: "b", URL: "http://b"}, {Name: "a", URL: "http://a"}, {Name: "dir", URL: dir},
	}}
	is := func(want string) func(string, catalog.Image) bool {
		return func(name string, _ catalog.Image) bool { return name == want }
	}
	for _, tt := range []struct{ first, name, want string }{
		{"", "test/shop:1", "a"}, // b is for another architecture
		{"dir", "test/shop:1", "dir"},
		{"dir", "test/shop:2", ""},
	} {
		if a, ok := c.Archive(t.Context(), tt.first, is(tt.name)); a.Repo != tt.want || ok != (tt.want != "") {
			t.Errorf("Archive(%q, %q) is of %q, %v, want %q", tt.first, tt.name, a.Repo, ok, tt.want)
		}
	}
	a, _ := c.Archive(t.Context(), "dir", is("test/shop:1"))
	r, size, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); string(text) != "the archive" || size != 11 || err != nil {
		t.Errorf("Open = %q, %d, %v", text, size, err)
	}
}

func TestArchiveOutside(t *testing.T) {
	for _, image := range []string{"{file: ../x.tar, digest: 'sha256:" + sum("x") + "'}", "{file: x.tar}", "{file: /x.tar, digest: 'sha256:" + sum("x") + "'}"} {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "index.yml"), []byte("images: {test/x:1: "+image+"}"), 0o644)
		c := &catalog.Catalog{}
		_, err := c.Index(t.Context(), catalog.Repository{Name: "core", URL: dir}, false)
		want := `cannot use repository "core": index.yml: image test/x:1 has no file of the repository, or no digest`
		if err == nil || err.Error() != want {
			t.Errorf("Index with %s = %v, want %s", image, err, want)
		}
	}
}
