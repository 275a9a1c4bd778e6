package compose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rosteros/ros/internal/compose"
)

// BenchmarkLoad reads one service file of the usual size.
func BenchmarkLoad(b *testing.B) {
	path := besides(b)
	b.ReportAllocs()
	for b.Loop() {
		if services, faults := compose.ParseIn(path, []byte(full), given); len(services) != 1 || len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}

// BenchmarkLoadDir reads as many files as the OS has.
func BenchmarkLoadDir(b *testing.B) {
	dir := b.TempDir()
	for i := range 12 {
		file := fmt.Sprintf("services: {s%d: {image: ros/x, command: [a, b], volumes: ['/etc:/etc:ro', '/run:/run'], cap_drop: [ALL], healthcheck: {test: x}, depends_on: {a: {condition: service_healthy}}, x-ros: {scope: system}}}", i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yml", i)), []byte(file), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if services, faults := compose.LoadDir(dir); len(services) != 12 || len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}
