package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
)

// Programs runs the programs of this system.
func Programs(log *slog.Logger, env ...string) Runner {
	return func(ctx context.Context, stdin io.Reader, out io.Writer, argv ...string) error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = append(append(Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin"), env...)
		return Run(cmd, stdin, out, log)
	}
}

// Environ is what the programs need to be told.
func Environ() []string {
	return append(os.Environ(), "LC_ALL=C",
		// mtools must not read a configuration, and takes odd sizes for damage. Its
		// usual code page, 850, is a module of the C library that the OS image does
		// without; 367 is ASCII, which is within.
		"MTOOLSRC=/dev/null", "MTOOLS_SKIP_CHECK=1", "DEFAULT_CODEPAGE=367",
		// mke2fs: BLKZEROOUT knows no offset and would hit the beginning of the disk.
		"UNIX_IO_NOZEROOUT=1")
}

// Run runs a command and puts what it said on standard error into the error.
func Run(cmd *exec.Cmd, stdin io.Reader, out io.Writer, log *slog.Logger) error {
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, &said
	err := cmd.Run()
	text := strings.Join(strings.Fields(said.String()), " ")
	log.Debug("ran a program", "program", cmd.Args, "error", err, "said", text)
	var exit *exec.ExitError
	if errors.As(err, &exit) && text != "" {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], err, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Args[0], err)
	}
	return nil
}
