package topology

import (
	"encoding/hex"
	"errors"
	"strconv"
)

// MACList is many MACs, which take twelve digits each in a file.
type MACList []MAC

// MarshalText writes the addresses one behind the other.
func (l MACList) MarshalText() ([]byte, error) {
	b := make([]byte, 0, 12*len(l))
	for _, m := range l {
		b = hex.AppendEncode(b, m[:])
	}
	return b, nil
}

// UnmarshalText reads what MarshalText writes.
func (l *MACList) UnmarshalText(b []byte) error {
	if len(b)%12 != 0 || len(b)/12 > maxForwards {
		return errors.New("it is not a list of MAC addresses")
	}
	raw, err := hex.AppendDecode(nil, b)
	if err != nil {
		return errors.New("it is not a list of MAC addresses")
	}
	*l = make(MACList, 0, len(raw)/6)
	for ; len(raw) > 0; raw = raw[6:] {
		*l = append(*l, MAC(raw[:6]))
	}
	return nil
}

func number(n int) string { return strconv.Itoa(n) }
