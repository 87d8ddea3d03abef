// Package wsconn lets a WebSocket pass for a net.Conn, so that both ends of the
// uplink speak MQTT over it as they do over TCP.
//
// Reads and writes carry a stream: where MQTT packets begin and end in the
// WebSocket's messages does not matter (MQTT 3.1.1, section 6). One goroutine
// may read and one may write at a time; deadlines may be set by any.
package wsconn

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Protocol is the WebSocket subprotocol of MQTT.
const Protocol = "mqtt"

// ErrText is the error of a Read that met a text message: MQTT is binary.
var ErrText = errors.New("text message on a WebSocket that speaks MQTT")

// Conn is a WebSocket as a stream of bytes.
type Conn struct {
	*websocket.Conn
	message  io.Reader // what is left of the message being read
	deadline atomic.Pointer[time.Time]
}

// New makes ws a stream. A message of more than limit bytes ends it.
func New(ws *websocket.Conn, limit int64) *Conn {
	ws.SetReadLimit(limit)
	return &Conn{Conn: ws}
}

// Read reads on in the current message or waits for the next one.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, r, err := c.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, ErrText
			}
			c.message = r
		}
		n, err := c.message.Read(p)
		if err == io.EOF {
			c.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

// Write sends p as one binary message. A deadline that is set meanwhile counts
// from the next Write on.
func (c *Conn) Write(p []byte) (int, error) {
	if t := c.deadline.Load(); t != nil {
		if err := c.Conn.SetWriteDeadline(*t); err != nil {
			return 0, err
		}
	}
	if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetWriteDeadline sets the deadline of writes. The WebSocket's own must not be
// set while another goroutine writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return nil
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
