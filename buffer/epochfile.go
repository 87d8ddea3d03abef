package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// An epoch file stands beside the database and holds, for one epoch, the next
// batch number of each source. It survives a quarantine and a torn end of the
// database's log: what it counts and the database has not is known to be lost.
//
// It has two slots of equal size that are written in turn, each with a sequence
// number and a CRC, so that a torn write leaves the other; writing in place costs
// one flush and no work of the file system's own.
type epochFile struct {
	path string
	f    *os.File
	slot int64  // bytes of a slot
	seq  uint64 // of the slot that was written last
	sync bool
}

// epochMark is what a slot holds.
type epochMark struct {
	Next       map[string]uint64
	LastCommit int64 // wall time, Unix ms

	// What files of the first version do not have: then all of it is zero.
	N    uint64           // the epoch's, see store.Epoch
	Boot [16]byte         //
	At   collectors.Stamp // of the last commit
	Sure bool             // the clock was synchronised at the last commit
	Was  bool             // or it was before in this boot, and its offset then was kept to
}

// corrected is when the last commit was, by what is known now of the clock in that
// boot, and whether that is for certain.
func (m *epochMark) corrected(clocks *store.Clocks) (wall int64, sure bool, err error) {
	h := block.Head{Boot: m.Boot, Offset: m.LastCommit - int64(m.At), Sure: m.Sure}
	if m.N > 0 {
		err = clocks.Correct(&h)
	}
	return h.Wall(m.At), h.Sure, err
}

const minSlot = 4096

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func epochDir(db string) string { return db + ".epochs" }

func epochPath(db string, epoch uint64) string {
	return filepath.Join(epochDir(db), fmt.Sprintf("%016x", epoch))
}

// listEpochFiles returns the epochs that have a file.
func listEpochFiles(db string) ([]uint64, error) {
	es, err := os.ReadDir(epochDir(db))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing epoch files: %w", err)
	}
	var out []uint64
	for _, e := range es {
		if id, err := strconv.ParseUint(e.Name(), 16, 64); err == nil && len(e.Name()) == 16 {
			out = append(out, id)
		} else if strings.HasSuffix(e.Name(), ".new") {
			_ = os.Remove(filepath.Join(epochDir(db), e.Name())) // left by a crash; the old one counts
		}
	}
	return out, nil
}

// readEpochFile returns the newest intact slot; an error means there is none.
func readEpochFile(path string) (m epochMark, seq uint64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return m, 0, err
	}
	half := len(b) / 2
	ok := false
	for _, s := range [][]byte{b[:half], b[half:]} {
		if x, n, err := parseSlot(s); err == nil && (!ok || n > seq) {
			m, seq, ok = x, n, true
		}
	}
	if !ok {
		return m, 0, fmt.Errorf("epoch file %s: no intact slot", filepath.Base(path))
	}
	return m, seq, nil
}

func parseSlot(s []byte) (m epochMark, seq uint64, err error) {
	bad := errors.New("damaged slot")
	if len(s) < 20 || string(s[:4]) != "SPE1" {
		return m, 0, bad
	}
	n := binary.LittleEndian.Uint32(s[12:])
	if uint64(n)+20 > uint64(len(s)) || crc32.Checksum(s[:16+n], castagnoli) != binary.LittleEndian.Uint32(s[16+n:]) {
		return m, 0, bad
	}
	seq, p := binary.LittleEndian.Uint64(s[4:]), s[16:16+n]
	uvarint := func() (x uint64) {
		x, k := binary.Uvarint(p)
		if k <= 0 {
			err, p = bad, nil
			return 0
		}
		p = p[k:]
		return x
	}
	m.LastCommit = int64(uvarint())
	count := uvarint()
	m.Next = make(map[string]uint64, min(count, 4096))
	for range count {
		k := uvarint()
		if err != nil || k > uint64(len(p)) {
			return m, 0, bad
		}
		name := string(p[:k])
		p = p[k:]
		m.Next[name] = uvarint()
	}
	if err == nil && len(p) > 16 {
		p = p[copy(m.Boot[:], p):]
		m.N, m.At = uvarint(), collectors.Stamp(uvarint())
		flags := uvarint()
		m.Sure, m.Was = flags&1 != 0, flags&2 != 0
	}
	return m, seq, err
}

func appendSlot(m epochMark, seq uint64) []byte {
	b := append(make([]byte, 0, 96+32*len(m.Next)), "SPE1"...)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, 0, 0, 0, 0)
	b = binary.AppendUvarint(b, uint64(max(m.LastCommit, 0)))
	b = binary.AppendUvarint(b, uint64(len(m.Next)))
	for name, next := range m.Next {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = binary.AppendUvarint(b, next)
	}
	b = append(b, m.Boot[:]...)
	b = binary.AppendUvarint(b, m.N)
	b = binary.AppendUvarint(b, uint64(max(m.At, 0)))
	b = append(b, truth(m.Sure)|truth(m.Was)<<1)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(b)-16))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func truth(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// write makes m the file's content, durably.
func (e *epochFile) write(m epochMark) error {
	e.seq++
	b := appendSlot(m, e.seq)
	if e.f == nil || int64(len(b)) > e.slot {
		return e.rewrite(b)
	}
	if _, err := e.f.WriteAt(b, int64(e.seq%2)*e.slot); err != nil {
		return fmt.Errorf("writing an epoch file: %w", err)
	}
	if !e.sync {
		return nil
	}
	if err := fdatasync(e.f); err != nil {
		return fmt.Errorf("flushing an epoch file: %w", err)
	}
	return nil
}

// rewrite replaces the file by one with larger slots.
func (e *epochFile) rewrite(b []byte) error {
	e.close()
	e.slot = max(minSlot, e.slot)
	for e.slot < int64(2*len(b)) {
		e.slot *= 2
	}
	if err := os.MkdirAll(filepath.Dir(e.path), 0o750); err != nil {
		return fmt.Errorf("making the folder of epoch files: %w", err)
	}
	both := make([]byte, 2*e.slot)
	copy(both[int64(e.seq%2)*e.slot:], b)
	tmp := e.path + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("making an epoch file: %w", err)
	}
	_, err = f.Write(both)
	if err == nil && e.sync {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, e.path)
	}
	if err == nil && e.sync {
		err = errors.Join(store.SyncDir(filepath.Dir(e.path)), store.SyncDir(filepath.Dir(filepath.Dir(e.path))))
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("writing an epoch file: %w", err)
	}
	e.f = f
	return nil
}

func (e *epochFile) close() {
	if e != nil && e.f != nil {
		e.f.Close() // every write was flushed before
		e.f = nil
	}
}

// sourcesOf returns a mark's sources in order.
func sourcesOf(next map[string]uint64) []string {
	out := make([]string, 0, len(next))
	for s := range next {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
