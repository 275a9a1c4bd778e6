package release_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/release/releasetest"
)

// TestLayoutKeepsItsContent: the build writes its files anew, in place, for the
// next release.
func TestLayoutKeepsItsContent(t *testing.T) {
	artifact, files := releasetest.Artifact(t, releasetest.Spec{Version: "v1.0.0", Arch: "amd64", Data: releasetest.Content(1, 40)})
	dir := t.TempDir()
	if _, err := release.WriteLayout(dir, "v1.0.0", nil, artifact); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.WriteFile(file, []byte("of the next release"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err != nil || len(blobs) < len(files) {
		t.Fatalf("%d blobs, %v", len(blobs), err)
	}
	for _, blob := range blobs {
		if got := digest.FromBytes(read(t, blob)).Encoded(); got != filepath.Base(blob) {
			t.Errorf("blob %s has the content %s", filepath.Base(blob), got)
		}
	}
}
