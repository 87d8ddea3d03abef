package diagnosis

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// Recorder writes evidence: a file for each outage. One goroutine at a time may use it;
// a nil Recorder records nothing.
type Recorder struct {
	opt   RecorderOptions
	id    string
	parts []part
	looks []Record // light looks of before, oldest first
	last  Verdict  // of what was recorded last
	more  int      // looks that were not kept
}

// RecorderOptions of NewRecorder.
type RecorderOptions struct {
	Folder string // made when there is something to write
	Signer crypto.Signer
	Site   string
	Config func() string                                // the hash of the site file in force
	Boot   string                                       // the name of this boot
	Wall   func(collectors.Stamp) (ms int64, sure bool) // the wall time of a stamp
	Total  int64                                        // octets of all files; the oldest go; 0: 16 MiB
	Log    *slog.Logger
}

// NewRecorder makes one.
func NewRecorder(opt RecorderOptions) *Recorder {
	if opt.Total == 0 {
		opt.Total = 16 << 20
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Recorder{opt: opt}
}

const (
	maxLooks  = 6
	manyParts = 200 // from which on only what differs is kept
	maxParts  = 300 // of an outage, but for its last one
)

// glance remembers a light look, for the time before an outage.
func (r *Recorder) glance(at collectors.Stamp, fs []Fact) {
	if r == nil || r.id != "" {
		return
	}
	r.looks = append(r.looks, r.record(Before, at, fs))
	r.looks = r.looks[max(0, len(r.looks)-maxLooks):]
}

func (r *Recorder) record(kind string, at collectors.Stamp, fs []Fact) Record {
	x := Record{Kind: kind, ID: r.id, BootMS: at, Boot: r.opt.Boot, Judge: JudgeVersion, Site: r.opt.Site, Facts: fs}
	x.WallMS, x.Sure = r.opt.Wall(at)
	if r.opt.Config != nil {
		x.Config = r.opt.Config()
	}
	return x
}

// begin opens the evidence of an outage.
func (r *Recorder) begin(v Verdict, first collectors.Stamp) {
	if r == nil {
		return
	}
	ms, _ := r.opt.Wall(first)
	r.id = time.UnixMilli(ms).UTC().Format("20060102T150405Z") + "-" + string(v.Code) + "-" + token()[:6]
	r.parts, r.more, r.last = nil, 0, Verdict{}
	for _, x := range r.looks {
		x.ID = r.id
		r.put(x)
	}
	r.looks = nil
}

// name is that of the evidence being recorded, or empty.
func (r *Recorder) name() string {
	if r == nil {
		return ""
	}
	return r.id
}

// add records a look at everything and its verdict.
func (r *Recorder) add(kind string, at collectors.Stamp, fs []Fact, base Baseline, c Contract, v Verdict) {
	if r == nil || r.id == "" {
		return
	}
	if kind == During && len(r.parts) >= manyParts && (v.Code == r.last.Code || len(r.parts) >= maxParts) {
		r.more++
		return
	}
	r.last = v
	x := r.record(kind, at, fs)
	x.Contract, x.Baseline, x.Verdict = &c, &base, &v
	if r.more > 0 {
		x.Note = fmt.Sprintf("%d looks before this one were not kept", r.more)
		r.more = 0
	}
	r.put(x)
	r.write()
}

// end closes the evidence.
func (r *Recorder) end() {
	if r != nil {
		r.id, r.parts = "", nil
	}
}

// put adds a part.
func (r *Recorder) put(x Record) {
	slices.SortStableFunc(x.Facts, compare)
	content, err := json.Marshal(x)
	if err == nil && len(content) > maxPart-1024 {
		x.Facts, x.Verdict, x.Note = nil, nil, "there was more than fits"
		content, err = json.Marshal(x)
	}
	prev := ""
	if n := len(r.parts); n > 0 {
		prev = r.parts[n-1].Hash
	}
	if err == nil {
		content = bytes.TrimSpace(unescaped(content))
		var p part
		if p, err = seal(len(r.parts), prev, content, r.opt.Signer); err == nil {
			r.parts = append(r.parts, p)
			r.thin()
			return
		}
	}
	r.opt.Log.Error("recording evidence", "error", err)
}

// unescaped writes JSON as an encoder does that leaves <, > and & alone: so does the
// writer of lines, and a record must be the same within one.
func unescaped(b []byte) []byte {
	var v json.RawMessage = b
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return b
	}
	return out.Bytes()
}

// thin takes the oldest records out of the middle until all fits: the first ones, the
// beginning of the outage and the latest stay. The lines stay, so that the chain holds
// and shows that something was there.
func (r *Recorder) thin() {
	keep := min(maxLooks+2, len(r.parts)/2)
	var errs []error
	for i := keep; r.total() > MaxEvidence && i < len(r.parts)-2; i++ {
		errs = append(errs, r.parts[i].thin(r.opt.Signer))
	}
	for i := 1; r.total() > MaxEvidence && i < len(r.parts)-1; i++ {
		errs = append(errs, r.parts[i].thin(r.opt.Signer))
	}
	if n := len(r.parts); r.total() > MaxEvidence && n > 1 { // lines alone fill it
		errs = append(errs, r.parts[0].thin(r.opt.Signer))
	}
	if err := errors.Join(errs...); err != nil {
		r.opt.Log.Error("thinning evidence", "error", err)
	}
}

func (r *Recorder) total() (n int) {
	for i := range r.parts {
		n += len(r.parts[i].Record) + 600 // more than what is around it
	}
	return n
}

// write replaces the file.
func (r *Recorder) write() {
	var b bytes.Buffer
	var err error
	for i := range r.parts {
		var line []byte
		if line, err = r.parts[i].line(); err != nil {
			break
		}
		b.Write(line)
	}
	if err == nil {
		err = os.MkdirAll(r.opt.Folder, 0o700)
	}
	if err == nil {
		r.tidy(int64(b.Len()))
		err = statefile.Replace(filepath.Join(r.opt.Folder, r.id+".jsonl"), b.Bytes())
	}
	if err != nil {
		r.opt.Log.Error("writing evidence", "error", err)
	}
}

// tidy removes the oldest files until there is room.
func (r *Recorder) tidy(wanted int64) {
	entries, err := os.ReadDir(r.opt.Folder)
	if err != nil {
		return
	}
	type file struct {
		name string
		size int64
	}
	var fs []file
	sum := wanted
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasSuffix(e.Name(), ".jsonl") && e.Name() != r.id+".jsonl" {
			fs = append(fs, file{e.Name(), info.Size()})
			sum += info.Size()
		}
	}
	slices.SortFunc(fs, func(a, b file) int { return cmp.Compare(a.name, b.name) }) // which begin with the time
	for _, f := range fs {
		if sum <= r.opt.Total {
			return
		}
		if err := os.Remove(filepath.Join(r.opt.Folder, f.name)); err == nil {
			sum -= f.size
		}
	}
}

// OpenKey reads the box's key for evidence, or makes it on the first start. It never
// leaves the box; a TPM's key can take its place, for a recorder only wants a
// [crypto.Signer].
func OpenKey(path string) (crypto.Signer, error) {
	b, err := statefile.Read(path, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key of evidence: %w", err)
	}
	p, _ := pem.Decode(b)
	if p == nil {
		return nil, fmt.Errorf("%s holds no key; a new one is made if it is moved away", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(p.Bytes)
	key, ok := k.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 key; a new one is made if it is moved away", path)
	}
	return key, nil
}

func makeKey(path string) (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of evidence: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err == nil {
		err = statefile.Replace(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the key of evidence: %w", err)
	}
	return key, nil
}
