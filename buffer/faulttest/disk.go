package faulttest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// Sector is the most that is written whole or not at all, in octets.
const Sector = 512

// Disk is a disk with a volatile cache. Its methods are safe for use by several
// goroutines.
type Disk struct {
	mu      sync.Mutex
	stable  []byte
	cache   []cached      // since the last flush, in order
	newest  map[int64]int // sector -> its last write in cache
	powered int           // how many times it was switched on; 0: it is off
	times   int           // of powered, ever
	stats   Stats
	whole   int64 // sectors at the start that are never torn
	cut     *cut
}

// cached is a sector in the cache.
type cached struct {
	n    int64
	data [Sector]byte
}

// cut is a power cut to come.
type cut struct {
	in   int64 // operations
	rand *rand.Rand
	then func()
}

// Stats counts what a disk did.
type Stats struct {
	Writes, Flushes int64
	Kept, Dropped   int64 // unflushed sectors at the cuts
}

// NewDisk returns a disk that holds the image and is on. Its size must be whole
// sectors; the disk keeps the slice. A write within the first whole octets is never
// torn.
func NewDisk(image []byte, whole int64) *Disk {
	return &Disk{stable: image, newest: map[int64]int{}, powered: 1, times: 1, whole: whole / Sector}
}

// Size returns the disk's size in octets.
func (d *Disk) Size() int64 { return int64(len(d.stable)) }

// Stats returns what the disk did so far.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Unflushed returns how many sectors the next cut may take.
func (d *Disk) Unflushed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.newest)
}

// Image returns a copy of what is stable.
func (d *Disk) Image() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.stable)
}

// On tells whether the disk has power.
func (d *Disk) On() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.powered != 0
}

// Cut takes the power away; r chooses what of the unflushed sectors is kept.
func (d *Disk) Cut(r *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.powerOff(r)
}

// CutAfter cuts the power at the n-th write or flush from now, which fails. then,
// if not nil, is called before that failure is seen; it must not call the disk.
func (d *Disk) CutAfter(n int64, r *rand.Rand, then func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = &cut{max(n, 1), r, then}
}

// PowerOn gives the power back. What was opened before stays unusable.
func (d *Disk) PowerOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.powered == 0 {
		d.times++
		d.powered = d.times
	}
}

// powerOff ends the power and settles what becomes of the cache. The caller holds
// mu.
func (d *Disk) powerOff(r *rand.Rand) {
	if d.powered == 0 {
		return
	}
	d.powered, d.cut = 0, nil
	keep := d.survivors(r)
	for i := range d.cache {
		if keep(i) {
			d.settle(&d.cache[i])
			d.stats.Kept++
		} else {
			d.stats.Dropped++
		}
	}
	d.empty()
}

// survivors chooses which writes in the cache reach the disk, asked in order. Of
// two writes to a sector it may be the first.
func (d *Disk) survivors(r *rand.Rand) func(i int) bool {
	switch r.IntN(6) {
	case 0:
		return func(int) bool { return false }
	case 1:
		return func(int) bool { return true }
	case 2, 3:
		until := r.IntN(len(d.cache) + 1)
		for until < len(d.cache) && d.joined(until, 1) {
			until++
		}
		return func(i int) bool { return i < until }
	}
	unit := int64(1) // sectors that share a fate
	if r.IntN(2) == 0 {
		unit = 4096 / Sector
	}
	share, kept := r.Float64(), false
	return func(i int) bool {
		if !d.joined(i, unit) {
			kept = r.Float64() < share
		}
		return kept
	}
}

// joined tells whether sector i of the cache shares the fate of the one before.
func (d *Disk) joined(i int, unit int64) bool {
	if i == 0 || d.cache[i].n != d.cache[i-1].n+1 {
		return false
	}
	return d.cache[i].n%unit != 0 || d.cache[i].n < d.whole
}

func (d *Disk) settle(c *cached) { copy(d.stable[c.n*Sector:], c.data[:]) }

func (d *Disk) empty() {
	d.cache = d.cache[:0]
	clear(d.newest)
}

// step counts an operation and cuts the power when its time has come. The caller
// holds mu.
func (d *Disk) step() error {
	if d.cut == nil {
		return nil
	}
	if d.cut.in--; d.cut.in > 0 {
		return nil
	}
	then := d.cut.then
	d.powerOff(d.cut.rand)
	if then != nil {
		then()
	}
	return syscall.EIO
}

// Open opens the disk until the next cut.
func (d *Disk) Open() *Handle {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Handle{d, d.powered}
}

// Handle is an open disk. All its errors are of type [syscall.Errno].
type Handle struct {
	d       *Disk
	powered int
}

// usable tells whether the power was not cut since. The caller holds mu.
func (h *Handle) usable() bool { return h.powered != 0 && h.powered == h.d.powered }

// ReadAt reads what was written last, flushed or not. Beyond the disk's end it
// reads nothing.
func (h *Handle) ReadAt(p []byte, off int64) (n int, err error) {
	d := h.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if !h.usable() {
		return 0, syscall.EIO
	}
	if off >= d.Size() {
		return 0, nil
	}
	n = copy(p, d.stable[off:])
	for s := off / Sector; s*Sector < off+int64(n); s++ {
		i, ok := d.newest[s]
		if !ok {
			continue
		}
		data := d.cache[i].data[:]
		if at := s*Sector - off; at >= 0 {
			copy(p[at:n], data)
		} else {
			copy(p[:n], data[-at:])
		}
	}
	return n, nil
}

// WriteAt puts whole sectors into the cache.
func (h *Handle) WriteAt(p []byte, off int64) (n int, err error) {
	d := h.d
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !h.usable():
		return 0, syscall.EIO
	case off%Sector != 0 || len(p)%Sector != 0:
		return 0, syscall.EINVAL
	case off+int64(len(p)) > d.Size():
		return 0, syscall.ENOSPC
	}
	d.stats.Writes++
	for i := 0; i < len(p); i += Sector {
		c := cached{n: (off + int64(i)) / Sector}
		copy(c.data[:], p[i:])
		d.newest[c.n] = len(d.cache)
		d.cache = append(d.cache, c)
	}
	if err := d.step(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync makes all that was written before stable.
func (h *Handle) Sync() error {
	d := h.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if !h.usable() {
		return syscall.EIO
	}
	if err := d.step(); err != nil {
		return err
	}
	d.stats.Flushes++
	for i := range d.cache {
		d.settle(&d.cache[i])
	}
	d.empty()
	return nil
}
