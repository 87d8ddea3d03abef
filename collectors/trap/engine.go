package trap

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// Engine is the box as an SNMPv3 engine: for informs the receiver is the
// authoritative one (RFC 3414, 1.5.1), whose id senders keep and by whose boots and
// time they sign. It outlives the receivers, and with it what it knows of the clocks of
// those who send traps.
type Engine struct {
	id    []byte
	boots uint32
	start collectors.Stamp
	now   func() collectors.Stamp
	salt  atomic.Uint32
	peers peers
}

// engineFile is where id and boots stand, beside the buffer's database: what becomes
// of that is nothing to the engine.
const engineFile = "snmp-engine"

// OpenEngine reads who the box is out of a folder, raises the number of boots and
// keeps it there, before anything is signed with it. An engine that cannot be kept is
// a new one for this run, which senders find out by themselves.
func OpenEngine(dir string, now func() collectors.Stamp, log *slog.Logger) *Engine {
	path := filepath.Join(dir, engineFile)
	id, boots, err := readEngine(path)
	switch {
	case err == nil && boots < math.MaxInt32:
		boots++
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		log.Warn("who this box is for SNMPv3 cannot be read; it takes another engine id, which senders find out by themselves", "path", path, "error", err)
		fallthrough
	default: // the first start, or no higher number is left: RFC 3414, 2.2.2 wants another engine id
		id, boots = newEngineID(), 1
	}
	if err := writeEngine(path, id, boots); err != nil {
		log.Warn("who this box is for SNMPv3 cannot be kept; it takes another engine id for this run", "path", path, "error", err)
		id, boots = newEngineID(), 1
	}
	e := &Engine{id: id, boots: boots, start: now(), now: now}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program rather
	e.salt.Store(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]))
	return e
}

// ID is the engine's id, in hexadecimal.
func (e *Engine) ID() string { return hex.EncodeToString(e.id) }

// time is how many seconds ago this boot was.
func (e *Engine) time() uint32 { return uint32((e.now() - e.start) / 1000) }

// nextSalt is never the same within a boot.
func (e *Engine) nextSalt() [8]byte {
	n := e.salt.Add(1)
	return [8]byte{byte(e.boots >> 24), byte(e.boots >> 16), byte(e.boots >> 8), byte(e.boots), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// newEngineID makes an id by RFC 3411, 5: the highest bit, an enterprise's number (0 is
// IANA's own, nobody's), format 5 (octets), and here 12 random ones.
func newEngineID() []byte {
	id := make([]byte, 17)
	_, _ = rand.Read(id[5:]) // never fails: it ends the program rather
	copy(id, "\x80\x00\x00\x00\x05")
	return id
}

// maxEngineFile is more than an id and a number take.
const maxEngineFile = 256

// readEngine reads "ID BOOTS", in hexadecimal and decimal.
func readEngine(path string) (id []byte, boots uint32, err error) {
	b, err := statefile.Read(path, maxEngineFile)
	if err != nil {
		return nil, 0, err
	}
	first, second, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	if id, err = hex.DecodeString(first); err != nil || len(id) < 5 || len(id) > 32 {
		return nil, 0, errors.New("there is no engine id in it")
	}
	n, err := strconv.ParseUint(second, 10, 31)
	if err != nil {
		return nil, 0, errors.New("there is no number of boots in it")
	}
	return id, uint32(n), nil
}

func writeEngine(path string, id []byte, boots uint32) error {
	if err := statefile.Replace(path, fmt.Appendf(nil, "%x %d\n", id, boots)); err != nil {
		return fmt.Errorf("keeping the SNMPv3 engine: %w", err)
	}
	return nil
}
