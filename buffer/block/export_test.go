package block

import (
	"encoding/binary"
	"hash/crc32"
)

// WithCRC appends a CRC that fits, so that fuzzing gets past the frame.
func WithCRC(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b[:len(b):len(b)], crc32.Checksum(b, castagnoli))
}
