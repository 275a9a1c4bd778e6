package bridge_test

import (
	"testing"

	"github.com/rosteros/ros/tests/namespace"
)

func TestMain(m *testing.M) { namespace.Main(m) }
