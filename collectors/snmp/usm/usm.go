// Package usm is the cryptography of SNMPv3's user-based security model, without the
// messages around it: keys out of passwords (RFC 3414, 2.6 and A.2), signatures (RFC
// 3414, 6; RFC 7860) and encryption (RFC 3414, 8; RFC 3826; for AES192 and AES256 the
// two ways of lengthening a key that are in use). It does no I/O and keeps no state
// but keys.
//
//	u, err := usm.NewUser("SHA256", "authpass", "AES", "privpass")
//	k := u.Localize(engineID)
//	ok := k.Verify(message, at)
//	plain, err := k.Decrypt(boots, time, salt, cipher)
//
// It is for the receiver of notifications, which is the authoritative engine for
// informs and so has to do what the library for requests does not.
package usm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // as RFC 3414 has it; which users have it is the site file's matter
	"crypto/hmac"
	"crypto/md5" // likewise
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// auth is an authentication protocol: its hash, and how much of it a message bears.
type auth struct {
	new func() hash.Hash
	mac int
}

func authProtocol(name string) (auth, bool) {
	a, ok := map[string]auth{
		"MD5": {md5.New, 12}, "SHA": {sha1.New, 12}, "SHA224": {sha256.New224, 16},
		"SHA256": {sha256.New, 24}, "SHA384": {sha512.New384, 32}, "SHA512": {sha512.New, 48},
	}[name]
	return a, ok
}

// priv is a privacy protocol: the octets of its key, and how it lengthens one that is
// too short.
type priv struct {
	key    int
	des    bool
	extend func(a auth, key, engine []byte, n int) []byte
}

func privProtocol(name string) (priv, bool) {
	p, ok := map[string]priv{
		"DES": {key: 16, des: true}, "AES": {key: 16},
		"AES192": {key: 24, extend: blumenthal}, "AES256": {key: 32, extend: blumenthal},
		"AES192C": {key: 24, extend: reeder}, "AES256C": {key: 32, extend: reeder},
	}[name]
	return p, ok
}

// User is somebody's passwords, made into keys that are no engine's yet, which takes
// some milliseconds.
type User struct {
	auth             auth
	priv             priv
	authKey, privKey []byte
}

// NewUser makes a user of protocols as the site file names them. An empty protocol is
// none.
func NewUser(authName, authPassword, privName, privPassword string) (*User, error) {
	u := &User{}
	if authName == "" {
		return u, nil
	}
	var ok bool
	if u.auth, ok = authProtocol(authName); !ok {
		return nil, errors.New("the authentication protocol is unknown")
	}
	u.authKey = passwordKey(u.auth, authPassword)
	if privName == "" {
		return u, nil
	}
	if u.priv, ok = privProtocol(privName); !ok {
		return nil, errors.New("the privacy protocol is unknown")
	}
	u.privKey = passwordKey(u.auth, privPassword)
	return u, nil
}

// Authenticates and Encrypts tell what a user has keys for.
func (u *User) Authenticates() bool { return u.authKey != nil }

// Encrypts tells whether the user has a key for privacy.
func (u *User) Encrypts() bool { return u.privKey != nil }

// passwordKey hashes a megabyte of the password repeated (RFC 3414, A.2).
func passwordKey(a auth, password string) []byte {
	h := a.new()
	if password == "" {
		return h.Sum(nil)
	}
	const total = 1 << 20
	chunk := make([]byte, 0, len(password)*64)
	for range 64 {
		chunk = append(chunk, password...)
	}
	for n := 0; n < total; n += len(chunk) {
		h.Write(chunk[:min(len(chunk), total-n)])
	}
	return h.Sum(nil)
}

// Keys are a user's at one engine.
type Keys struct {
	auth    auth
	priv    priv
	authKey []byte
	privKey func() []byte // made when it is needed: some ways of lengthening take milliseconds
}

// Localize makes a user's keys at an engine (RFC 3414, 2.6). It is quick, so that
// anyone may ask for it under any engine's name.
func (u *User) Localize(engine []byte) *Keys {
	k := &Keys{auth: u.auth, priv: u.priv, privKey: func() []byte { return nil }}
	if u.authKey != nil {
		k.authKey = localize(u.auth, u.authKey, engine)
	}
	if u.privKey != nil {
		engine := bytes.Clone(engine)
		k.privKey = sync.OnceValue(func() []byte {
			key := localize(u.auth, u.privKey, engine)
			if len(key) < u.priv.key && u.priv.extend != nil {
				key = u.priv.extend(u.auth, key, engine, u.priv.key)
			}
			return key[:min(len(key), u.priv.key)]
		})
	}
	return k
}

func localize(a auth, key, engine []byte) []byte {
	h := a.new()
	h.Write(key)
	h.Write(engine)
	h.Write(key)
	return h.Sum(nil)
}

// blumenthal lengthens a localised key by hashes of all there is of it
// (draft-blumenthal-aes-usm-04, 3.1.2.1).
func blumenthal(a auth, key, _ []byte, n int) []byte {
	for len(key) < n {
		h := a.new()
		h.Write(key)
		key = h.Sum(key)
	}
	return key
}

// reeder lengthens it as a password, which is Cisco's way (draft-reeder-snmpv3-usm-3desede-00, 2.1).
func reeder(a auth, key, engine []byte, n int) []byte {
	last := key
	for len(key) < n {
		last = localize(a, passwordKey(a, string(last)), engine)
		key = append(key, last...)
	}
	return key
}

// MACSize is how many octets of signature a message bears.
func (k *Keys) MACSize() int { return k.auth.mac }

// Verify checks the signature that stands at an offset in a whole message. The
// message is as before when it returns.
func (k *Keys) Verify(message []byte, at int) bool {
	n := k.auth.mac
	if k.authKey == nil || at < 0 || at+n > len(message) {
		return false
	}
	var got [64]byte
	copy(got[:n], message[at:])
	clear(message[at : at+n])
	want := k.mac(message)
	copy(message[at:], got[:n])
	return hmac.Equal(got[:n], want)
}

// Sign puts the signature at an offset of a message whose octets there are zero.
func (k *Keys) Sign(message []byte, at int) { copy(message[at:at+k.auth.mac], k.mac(message)) }

func (k *Keys) mac(message []byte) []byte {
	h := hmac.New(k.auth.new, k.authKey)
	h.Write(message)
	return h.Sum(nil)[:k.auth.mac]
}

// SaltSize is how many octets of privacy parameters a message bears.
const SaltSize = 8

// ErrDecryption: what came cannot have been encrypted with these keys.
var ErrDecryption = errors.New("it cannot be decrypted")

// Decrypt makes the scoped PDU of what was encrypted. What it makes with the wrong
// key is noise; only its reader finds out.
func (k *Keys) Decrypt(boots, time uint32, salt, data []byte) ([]byte, error) {
	if k.privKey() == nil || len(salt) != SaltSize || len(data) == 0 {
		return nil, ErrDecryption
	}
	out := make([]byte, len(data))
	if k.priv.des {
		if len(data)%des.BlockSize != 0 {
			return nil, ErrDecryption
		}
		block, iv, err := k.des(salt)
		if err != nil {
			return nil, err
		}
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, data)
		return out, nil
	}
	block, iv, err := k.aes(boots, time, salt)
	if err != nil {
		return nil, err
	}
	cfb(block, iv, out, data, data)
	return out, nil
}

// Encrypt does the reverse. No salt may be used twice with the same boots and time.
func (k *Keys) Encrypt(boots, time uint32, salt [SaltSize]byte, plain []byte) ([]byte, error) {
	if k.privKey() == nil {
		return nil, errors.New("the user has no key for privacy")
	}
	if k.priv.des {
		block, iv, err := k.des(salt[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, (len(plain)+des.BlockSize-1)/des.BlockSize*des.BlockSize)
		copy(out, plain)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, out)
		return out, nil
	}
	block, iv, err := k.aes(boots, time, salt[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(plain))
	cfb(block, iv, out, plain, out)
	return out, nil
}

// cfb is the cipher feedback mode of RFC 3826 (the standard library's own is
// deprecated for others, since it does not authenticate; here the message's signature
// does). It makes dst of src; sealed is whichever of the two is encrypted.
func cfb(block cipher.Block, iv, dst, src, sealed []byte) {
	stream := make([]byte, len(iv))
	for len(src) > 0 {
		block.Encrypt(stream, iv)
		n := subtle.XORBytes(dst, src, stream)
		iv = sealed[:n]
		if n < len(stream) {
			return
		}
		dst, src, sealed = dst[n:], src[n:], sealed[n:]
	}
}

// des: the key's second half and the salt make the initialisation vector (RFC 3414,
// 8.1.1.1).
func (k *Keys) des(salt []byte) (cipher.Block, []byte, error) {
	block, err := des.NewCipher(k.privKey()[:8])
	if err != nil {
		return nil, nil, fmt.Errorf("a DES key: %w", err)
	}
	key, iv := k.privKey(), make([]byte, des.BlockSize)
	for i := range iv {
		iv[i] = salt[i] ^ key[8+i]
	}
	return block, iv, nil
}

// aes: boots, time and salt do (RFC 3826, 3.1.2.1).
func (k *Keys) aes(boots, time uint32, salt []byte) (cipher.Block, []byte, error) {
	block, err := aes.NewCipher(k.privKey())
	if err != nil {
		return nil, nil, fmt.Errorf("an AES key: %w", err)
	}
	iv := binary.BigEndian.AppendUint32(make([]byte, 0, aes.BlockSize), boots)
	iv = binary.BigEndian.AppendUint32(iv, time)
	return block, append(iv, salt...), nil
}
