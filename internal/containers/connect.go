package containers

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/rosteros/ros/internal/containerd"
	"github.com/rosteros/ros/internal/supervise"
)

// dial returns a connection whose errors are in the user's words.
func dial(socket, namespace string) (*grpc.ClientConn, error) {
	return containerd.Dial(socket,
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
