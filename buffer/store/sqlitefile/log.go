package sqlitefile

import (
	"encoding/binary"
	"maps"
)

const (
	logHeader   = 32
	frameHeader = 24
	maxFrames   = 1 << 20
)

// sums is the running checksum of a log.
type sums struct{ a, b uint32 }

func (s sums) add(order binary.ByteOrder, x []byte) sums {
	for ; len(x) >= 8; x = x[8:] {
		s.a += order.Uint32(x) + s.b
		s.b += order.Uint32(x[4:]) + s.a
	}
	return s
}

// TornLog tells whether a log holds what SQLite will not see because something
// before it is damaged.
func TornLog(wal Source, pageSize int) bool {
	_, torn := readLog(wal, pageSize)
	return len(torn) > 0
}

// readLog returns where the newest version of each page lies: of the transactions
// that SQLite would see; and of later frames that are whole by themselves, because
// the checksum of each goes on from that of the one before.
func readLog(wal Source, pageSize int) (committed, torn map[uint32]int64) {
	committed, torn = map[uint32]int64{}, map[uint32]int64{}
	head := make([]byte, logHeader)
	if wal.Size < logHeader+frameHeader || readFull(wal, head, 0) != nil {
		return committed, torn
	}
	// The checksum is over words in the order of the machine that wrote it.
	var order binary.ByteOrder = binary.LittleEndian
	if be32(head) == 0x377f0683 {
		order = binary.BigEndian
	}
	salt := binary.BigEndian.Uint64(head[16:])
	sum := sums{}.add(order, head[:24])
	said := sums{be32(head[24:]), be32(head[28:])}
	whole := sum == said && be32(head)|1 == 0x377f0683 && be32(head[8:]) == uint32(pageSize)
	frame := make([]byte, frameHeader+pageSize)
	open := map[uint32]int64{} // of the transaction that is not committed yet
	for i := range maxFrames {
		off := logHeader + int64(i)*int64(len(frame))
		if off+int64(len(frame)) > wal.Size || readFull(wal, frame, off) != nil {
			break
		}
		page, commits := be32(frame), be32(frame[4:]) != 0
		s := binary.BigEndian.Uint64(frame[8:])
		if i == 0 && !whole {
			salt = s // the header is damaged; what is older has another one
		}
		fits := s == salt && page != 0
		sum = said.add(order, frame[:8]).add(order, frame[frameHeader:])
		said = sums{be32(frame[16:]), be32(frame[20:])}
		fits = fits && sum == said
		switch {
		case !fits:
			whole = false
		case whole:
			open[page] = off + frameHeader
			if commits {
				maps.Copy(committed, open)
				clear(open)
			}
		default:
			torn[page] = off + frameHeader
		}
	}
	if len(torn) > 0 {
		// A transaction that the damage cut in two may be whole but for that.
		for page, off := range open {
			if _, ok := torn[page]; !ok {
				torn[page] = off
			}
		}
	}
	return committed, torn
}
