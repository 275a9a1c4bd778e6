package containers

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/rosteros/ros/internal/supervise"
)

// dial returns a connection that comes about with the first call and again
// after every restart of containerd.
//
// rosd starts beside containerd and its first call decides when the services
// start, so the socket is tried often: the pause between two tries is 5 ms at
// first and grows by a tenth each time. So the wait costs at most a tenth of
// the time that containerd itself takes, and a containerd that is gone for
// good costs five connect(2) a second.
func dial(socket, namespace string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///containerd",
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
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(16<<20)),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
			return translate(call(ctx, method, req, reply, conn, opts...), conn.GetState())
		}),
	)
}

// callError is an answer of containerd without gRPC's "rpc error: code = …".
type callError struct {
	code    codes.Code
	message string
}

func (e *callError) Error() string { return e.message }

// translate turns an error of gRPC into a callError, marked by supervise.Down
// when it says nothing about the service but that nobody answered.
func translate(err error, state connectivity.State) error {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	message := s.Message()
	// Layers of containerd that say nothing to the reader.
	for _, prefix := range []string{"failed to create shim task: ", "OCI runtime create failed: ", "OCI runtime start failed: ", "OCI runtime exec failed: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	e := &callError{s.Code(), message}
	switch {
	case e.code == codes.Unavailable:
		return supervise.Down(&callError{e.code, "containerd does not answer: " + message})
	case e.code == codes.DeadlineExceeded && state != connectivity.Ready:
		return supervise.Down(&callError{e.code, "containerd does not answer"})
	}
	return e
}

func hasCode(err error, code codes.Code) bool {
	var e *callError
	return errors.As(err, &e) && e.code == code
}

func isNotFound(err error) bool      { return hasCode(err, codes.NotFound) }
func isAlreadyExists(err error) bool { return hasCode(err, codes.AlreadyExists) }
