// Package containerd is the connection to the system containerd.
//
// It owns how rosd waits for containerd and finds it again after a restart,
// and nothing of what is asked: package containers asks for containers and
// tasks, package imagestore for images. No other package imports containerd's
// API or its client's parts.
package containerd

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// Socket is where the system containerd listens, Namespace where our
// containers and images are in it.
const (
	Socket    = "/run/ros/containerd/containerd.sock"
	Namespace = "ros"
)

// maxMessage bounds one answer. The list of all containers is the longest.
const maxMessage = 16 << 20

// Dial returns a connection that comes about with the first call and again
// after every restart of containerd. It does not fail when nobody listens.
//
// rosd starts beside containerd and its first call decides when the services
// start, so the socket is tried often: the pause between two tries is 5 ms at
// first and grows by a tenth each time. So the wait costs at most a tenth of
// the time that containerd itself takes, and a containerd that is gone for
// good costs five connect(2) a second.
func Dial(socket string, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 5 * time.Millisecond, Multiplier: 1.1, Jitter: 0.1, MaxDelay: 200 * time.Millisecond,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
		// Without waiting for it, a call in the moment of a restart would fail
		// although the next one succeeds.
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(maxMessage)),
	}
	conn, err := grpc.NewClient("passthrough:///containerd", append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("cannot use containerd at %s: %w", socket, err)
	}
	return conn, nil
}
