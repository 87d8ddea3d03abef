package collectors

import "log/slog"

// Secret is a community, a password or a key. However it is printed, logged or
// marshalled it reads "<secret>"; only Reveal gives it away.
type Secret string

const hidden = "<secret>"

// Reveal returns the secret itself, for the one place that must send it.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string               { return hidden }
func (s Secret) GoString() string             { return hidden }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
