package uplink

import (
	"errors"
	"io"
	"testing"
	"time"
)

func TestTrouble(t *testing.T) {
	refused := &LinkError{Stage: StageConnack, Reason: ReasonCredentials, Err: errors.New("CONNACK code 5")}
	closed := &LinkError{Stage: StageSession, Err: io.EOF}
	var x Trouble
	x = x.after(0, refused)
	if x = x.after(0, refused); x != (Trouble{StageConnack, ReasonCredentials, 2, 0}) {
		t.Errorf("refused twice: %+v", x)
	}
	x = x.after(3*time.Second, closed)
	if x = x.after(5*time.Second, closed); x != (Trouble{StageSession, ReasonNone, 2, 2}) {
		t.Errorf("thrown out twice: %+v", x)
	}
	if x = x.after(time.Hour, closed); x.Short != 0 || x.InARow != 1 {
		t.Errorf("after a long session: %+v", x)
	}
	if x = x.after(time.Second, &LinkError{Stage: StageSession, Reason: ReasonTimeout, Err: io.EOF}); x.Short != 0 {
		t.Errorf("a dead line: %+v", x)
	}
}
