package faulttest_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/faulttest"
)

const sector = faulttest.Sector

// write puts one octet all over some sectors.
func write(t *testing.T, h *faulttest.Handle, first, count int, what byte) {
	t.Helper()
	if _, err := h.WriteAt(bytes.Repeat([]byte{what}, count*sector), int64(first*sector)); err != nil {
		t.Fatal(err)
	}
}

// read returns the octet that each sector is full of; a torn sector fails the test.
func read(t *testing.T, h *faulttest.Handle, sectors int) string {
	t.Helper()
	p := make([]byte, sectors*sector)
	if n, err := h.ReadAt(p, 0); n != len(p) || err != nil {
		t.Fatal(n, err)
	}
	out := make([]byte, sectors)
	for i := range out {
		s := p[i*sector : (i+1)*sector]
		if out[i] = s[0]; !bytes.Equal(s, bytes.Repeat(s[:1], sector)) {
			t.Fatalf("sector %d is torn", i)
		}
	}
	return string(out)
}

func TestDiskKeepsWhatWasFlushed(t *testing.T) {
	d := faulttest.NewDisk(make([]byte, 64*sector), 0)
	_, r := seeded(t)
	seen := map[string]bool{}
	for range 300 {
		h := d.Open()
		write(t, h, 0, 64, '-')
		write(t, h, 1, 2, 'a')
		if err := h.Sync(); err != nil {
			t.Fatal(err)
		}
		write(t, h, 2, 2, 'b')
		write(t, h, 3, 1, 'c')
		if got := read(t, h, 6); got != "-abc--" {
			t.Fatalf("before the cut: %q", got)
		}
		d.Cut(r)
		if _, err := h.ReadAt(make([]byte, sector), 0); !errors.Is(err, syscall.EIO) {
			t.Fatalf("reading without power: %v", err)
		}
		d.PowerOn()
		if err := h.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("what was open before the cut still works: %v", err)
		}
		got := read(t, d.Open(), 6)
		if got[:2] != "-a" || got[4:] != "--" {
			t.Fatalf("after the cut: %q", got)
		}
		seen[got[2:4]] = true
	}
	// Flushed, the second write with or without what lay before it, also torn.
	for _, want := range []string{"a-", "b-", "ab", "bb", "ac", "bc"} {
		if !seen[want] {
			t.Errorf("no cut left %q: %v", want, seen)
		}
		delete(seen, want)
	}
	if len(seen) > 0 {
		t.Errorf("what nobody wrote: %v", seen)
	}
}

func TestDiskCutsAtAnOperation(t *testing.T) {
	d := faulttest.NewDisk(make([]byte, 64*sector), 0)
	h, told := d.Open(), false
	d.CutAfter(3, rand.New(rand.NewPCG(1, 1)), func() { told = true })
	write(t, h, 0, 1, 'a')
	if err := h.Sync(); err != nil || told {
		t.Fatal(err, told)
	}
	if err := h.Sync(); !errors.Is(err, syscall.EIO) || !told || d.On() {
		t.Fatal(err, told, d.On())
	}
	d.PowerOn()
	if got := read(t, d.Open(), 2); got != "a\x00" {
		t.Fatalf("%q", got)
	}
}

func TestDiskRefusesPartsOfSectors(t *testing.T) {
	h := faulttest.NewDisk(make([]byte, 2*sector), 0).Open()
	for _, c := range []struct{ off, n int }{{1, sector}, {0, 100}, {sector, 2 * sector}} {
		if _, err := h.WriteAt(make([]byte, c.n), int64(c.off)); err == nil {
			t.Errorf("%d octets at %d were written", c.n, c.off)
		}
	}
	p := bytes.Repeat([]byte{'x'}, 100)
	write(t, h, 1, 1, 'a')
	if n, err := h.ReadAt(p, 2*sector-50); n != 50 || err != nil || !bytes.Equal(p[:50], bytes.Repeat([]byte{'a'}, 50)) {
		t.Fatal(n, err)
	}
}

func TestDiskTearsNothingInItsWholePart(t *testing.T) {
	d := faulttest.NewDisk(make([]byte, 16*sector), 8*sector)
	_, r := seeded(t)
	for range 200 {
		h := d.Open()
		write(t, h, 0, 16, 'a')
		_ = h.Sync()
		write(t, h, 0, 16, 'b')
		d.Cut(r)
		d.PowerOn()
		if got := read(t, d.Open(), 8); got != "aaaaaaaa" && got != "bbbbbbbb" {
			t.Fatalf("torn: %q", got)
		}
	}
}
