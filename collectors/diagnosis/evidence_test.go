package diagnosis

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
)

func recorder(t *testing.T) (*Recorder, ed25519.PublicKey) {
	t.Helper()
	key, err := OpenKey(filepath.Join(t.TempDir(), "evidence.key"))
	if err != nil {
		t.Fatal(err)
	}
	return NewRecorder(RecorderOptions{Folder: filepath.Join(t.TempDir(), "evidence"), Signer: key, Site: "northwind/acme",
		Config: func() string { return "ab<c>" }, Boot: "b", Wall: func(s collectors.Stamp) (int64, bool) { return 1_800_000_000_000 + int64(s), true }}), key.Public().(ed25519.PublicKey)
}

// outage records one of n looks while it lasts, and gives its file.
func outage(t *testing.T, r *Recorder, n int) []byte {
	t.Helper()
	down := with(healthy(), dead("path_hop/ttl 2", "path_hop/ttl 3", "path_hop/ttl 4")...)
	bad, good := Judge(down, base(), contract()), Judge(healthy(), base(), contract())
	for i := range 3 {
		r.glance(collectors.Stamp(i*1000), healthy()[:8])
	}
	r.begin(bad, 3000)
	id := r.name()
	for i := range n {
		r.add(During, collectors.Stamp(4000+i*1000), down, base(), contract(), bad)
	}
	r.add(After, 5_000_000, healthy(), base(), contract(), good)
	r.end()
	b, err := os.ReadFile(filepath.Join(r.opt.Folder, id+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEvidenceReplays(t *testing.T) {
	r, key := recorder(t)
	b := outage(t, r, 2)
	c, err := Verify(b, key)
	if err != nil {
		t.Fatal(err)
	}
	if c.Parts != 6 || c.Replayed != 3 || c.Thinned != 0 || !c.Complete || len(c.Verdicts) != 2 || c.Verdicts[0].Code != AccessDown || c.Site != "northwind/acme" {
		t.Errorf("%+v", c)
	}
	for _, line := range strings.SplitAfter(string(b), "\n") {
		if len(line) > 60<<10 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

// TestEveryFlippedByte: whatever byte is changed, and whatever line is missing, moved
// or doubled, is found.
func TestEveryFlippedByte(t *testing.T) {
	r, key := recorder(t)
	b := outage(t, r, 1)
	step := 211
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		step = 1
	}
	for i := 0; i < len(b); i += step {
		for _, bit := range []byte{1, 0x20} {
			b[i] ^= bit
			if _, err := Verify(b, key); err == nil {
				t.Fatalf("bit %x of octet %d may be flipped: %q", bit, i, b[max(0, i-20):min(len(b), i+20)])
			}
			b[i] ^= bit
		}
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	for i := range lines {
		without := append(append([]string{}, lines[:i]...), lines[i+1:]...)
		c, err := Verify([]byte(strings.Join(without, "")), key)
		if err == nil && (i != len(lines)-1 || c.Complete) {
			t.Errorf("without line %d all is well", i)
		}
		doubled := append(append([]string{}, lines[:i+1]...), lines[i:]...)
		if _, err := Verify([]byte(strings.Join(doubled, "")), key); err == nil {
			t.Errorf("with line %d twice all is well", i)
		}
	}
	other, _ := recorder(t)
	if _, err := Verify(outage(t, other, 1), key); err == nil {
		t.Error("another box's evidence is taken")
	}
	if _, err := Verify(outage(t, other, 1), nil); err != nil {
		t.Error(err)
	}
	for n := range 40 { // cut off anywhere
		if _, err := Verify(b[:len(b)-1-n*11], key); err == nil {
			t.Error("a cut is not found")
		}
	}
}

func TestEvidenceIsThinned(t *testing.T) {
	r, key := recorder(t)
	b := outage(t, r, 60)
	if len(b) > MaxEvidence {
		t.Errorf("%d octets", len(b))
	}
	c, err := Verify(b, key)
	if err != nil {
		t.Fatal(err)
	}
	if c.Parts != 64 || c.Thinned == 0 || c.Replayed < 10 || !c.Complete || c.Verdicts[0].Code != AccessDown {
		t.Errorf("%+v", c)
	}
	// Nobody else can take a record out, nor say that the box did.
	for _, mark := range []string{"", "AAAA"} {
		lines := bytes.SplitAfter(b, []byte("\n"))
		var p part
		if err := json.Unmarshal(lines[len(lines)-3], &p); err != nil || p.Record == nil {
			t.Fatal(err)
		}
		p.Record, p.Thinned = nil, mark
		if lines[len(lines)-3], err = p.line(); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(bytes.Join(lines, nil), key); err == nil {
			t.Error("a record that somebody took out is not missed")
		}
	}
	b = outage(t, r, 1500) // lines alone would be more than that
	if len(b) > MaxEvidence {
		t.Errorf("%d octets", len(b))
	}
	if c, err := Verify(b, key); err != nil || !c.Complete {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestOldEvidenceGoes(t *testing.T) {
	r, _ := recorder(t)
	r.opt.Total = 100 << 10
	for range 12 {
		outage(t, r, 2)
	}
	entries, err := os.ReadDir(r.opt.Folder)
	if err != nil || len(entries) >= 12 || len(entries) < 2 {
		t.Errorf("%d files, %v", len(entries), err)
	}
}

func TestKeyStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	a, err := OpenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenKey(path)
	if err != nil || !a.Public().(ed25519.PublicKey).Equal(b.Public()) {
		t.Errorf("another key after the second start: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(path); err == nil {
		t.Error("what is no key is taken for one")
	}
}
