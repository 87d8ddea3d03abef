package usm

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 3414, A.3 and A.5 (keys of "maplesyrup").
func TestKeysOfTheRFC(t *testing.T) {
	engine := unhex(t, "000000000000000000000002")
	for _, c := range []struct{ auth, plain, local string }{
		{"MD5", "9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"},
		{"SHA", "9fb5cc0381497b3793528939ff788d5d79145211", "6695febc9288e36282235fc7151f128497b38f3f"},
	} {
		u, err := NewUser(c.auth, "maplesyrup", "", "")
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(u.authKey); got != c.plain {
			t.Errorf("%s: key %s, want %s", c.auth, got, c.plain)
		}
		if got := hex.EncodeToString(u.Localize(engine).authKey); got != c.local {
			t.Errorf("%s: localised key %s, want %s", c.auth, got, c.local)
		}
	}
}

func TestEveryPair(t *testing.T) {
	engine, salt := []byte("\x80\x00\x00\x00\x05engine"), [SaltSize]byte{1, 2, 3}
	plain := []byte("0123456789abcdef0123") // no whole number of DES's blocks
	for _, a := range []string{"MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512"} {
		for _, p := range []string{"DES", "AES", "AES192", "AES256", "AES192C", "AES256C"} {
			u, err := NewUser(a, "authpass1234", p, "privpass1234")
			if err != nil || !u.Authenticates() || !u.Encrypts() {
				t.Fatalf("%s %s: %v", a, p, err)
			}
			k := u.Localize(engine)
			sealed, err := k.Encrypt(7, 9, salt, plain)
			if err != nil || bytes.Contains(sealed, plain) {
				t.Fatalf("%s %s: %v", a, p, err)
			}
			if got, err := k.Decrypt(7, 9, salt[:], sealed); err != nil || !bytes.HasPrefix(got, plain) {
				t.Errorf("%s %s: %q, %v", a, p, got, err)
			}
			message := append(make([]byte, 4+k.MACSize()), sealed...)
			k.Sign(message, 4)
			if was := bytes.Clone(message); !k.Verify(message, 4) || !bytes.Equal(was, message) {
				t.Errorf("%s %s: the signature is refused, or the message changed", a, p)
			}
			message[0] ^= 1
			if k.Verify(message, 4) {
				t.Errorf("%s %s: a changed message passes", a, p)
			}
		}
	}
}

func TestWhatCannotBe(t *testing.T) {
	if _, err := NewUser("ROT13", "x", "", ""); err == nil {
		t.Error("an unknown authentication protocol")
	}
	if _, err := NewUser("SHA", "x", "ROT13", "y"); err == nil {
		t.Error("an unknown privacy protocol")
	}
	none, err := NewUser("", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	k := none.Localize([]byte("engine"))
	if k.Verify(make([]byte, 100), 0) {
		t.Error("a signature of a user without a key")
	}
	if _, err := k.Decrypt(1, 1, make([]byte, 8), []byte("x")); err == nil {
		t.Error("decrypted without a key")
	}
	u, err := NewUser("SHA", "authpass1234", "DES", "privpass1234")
	if err != nil {
		t.Fatal(err)
	}
	k = u.Localize([]byte("engine"))
	for _, c := range []struct{ salt, data []byte }{{make([]byte, 7), make([]byte, 8)}, {make([]byte, 8), make([]byte, 9)}, {make([]byte, 8), nil}} {
		if _, err := k.Decrypt(1, 1, c.salt, c.data); err == nil {
			t.Errorf("decrypted %d octets with a salt of %d", len(c.data), len(c.salt))
		}
	}
	if k.Verify(make([]byte, 20), 12) || k.Verify(make([]byte, 20), -1) {
		t.Error("a signature that is not there")
	}
}
