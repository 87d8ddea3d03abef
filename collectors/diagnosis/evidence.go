package diagnosis

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// Evidence is a file of lines, each a [part]: what was looked at, signed by the box and
// chained to the line before. A byte that is changed anywhere is found, a line that is
// taken out of the middle, and a record that somebody else than the box took out of its
// line; the judge gives the same verdict of the same facts. Lines cut off the end leave
// evidence that does not say that the outage is over.

// Kinds of parts.
const (
	Before = "before" // light looks from before it began
	During = "during"
	After  = "after"
)

// The bounds of evidence, in octets.
const (
	maxPart     = 58 << 10 // of a line
	MaxEvidence = 256 << 10
)

// part is one line.
type part struct {
	Seq     int             `json:"seq"`
	Key     string          `json:"key,omitempty"`     // of the first: the public key, base64
	Prev    string          `json:"prev"`              // the hash of the line before; of the first: of its key
	Content string          `json:"content"`           // SHA-256 of what follows under "record"
	Hash    string          `json:"hash"`              // SHA-256 of seq, prev and content
	Sig     string          `json:"sig"`               // of the hash, base64
	Record  json.RawMessage `json:"record,omitempty"`  // absent: it was thinned out, for want of room
	Thinned string          `json:"thinned,omitempty"` // and then the box's signature of that it was: nobody else can take a record out
}

// Record is what a part says.
type Record struct {
	Kind   string           `json:"kind"`
	ID     string           `json:"id"`
	BootMS collectors.Stamp `json:"boot_ms"` // on the boot clock
	Boot   string           `json:"boot,omitempty"`
	WallMS int64            `json:"wall_ms"` // of it, in milliseconds since 1970
	Sure   bool             `json:"clock_sure"`
	Config string           `json:"config,omitempty"` // the hash of the site file
	Judge  int              `json:"judge"`            // [JudgeVersion]
	Site   string           `json:"site,omitempty"`

	Contract *Contract `json:"contract,omitempty"`
	Baseline *Baseline `json:"baseline,omitempty"`
	Facts    []Fact    `json:"facts"`
	Verdict  *Verdict  `json:"verdict,omitempty"`
	Note     string    `json:"note,omitempty"`
}

// seal makes the line of a record.
func seal(seq int, prev string, content []byte, signer crypto.Signer) (part, error) {
	sum := sha256.Sum256(content)
	p := part{Seq: seq, Prev: prev, Content: hex.EncodeToString(sum[:]), Record: content}
	if seq == 0 {
		pub, ok := signer.Public().(ed25519.PublicKey)
		if !ok {
			return p, errors.New("the box's key is not of Ed25519")
		}
		p.Key = base64.StdEncoding.EncodeToString(pub)
		p.Prev = genesis(p.Key)
	}
	h := p.sum()
	p.Hash = hex.EncodeToString(h)
	sig, err := signer.Sign(rand.Reader, h, crypto.Hash(0))
	if err != nil {
		return p, fmt.Errorf("signing evidence: %w", err)
	}
	p.Sig = base64.StdEncoding.EncodeToString(sig)
	return p, nil
}

// thin takes a part's record out, and signs that the box did.
func (p *part) thin(signer crypto.Signer) error {
	if p.Record == nil {
		return nil
	}
	sig, err := signer.Sign(rand.Reader, p.gone(), crypto.Hash(0))
	if err != nil {
		return fmt.Errorf("signing evidence: %w", err)
	}
	p.Record, p.Thinned = nil, base64.StdEncoding.EncodeToString(sig)
	return nil
}

// gone is what is signed of a record that was taken out.
func (p *part) gone() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "siteprobe evidence 1 thinned %s", p.Hash))
	return sum[:]
}

// genesis is what the first line is chained to.
func genesis(key string) string {
	sum := sha256.Sum256([]byte("siteprobe evidence 1 " + key))
	return hex.EncodeToString(sum[:])
}

func (p *part) sum() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "siteprobe evidence 1 %d %s %s", p.Seq, p.Prev, p.Content))
	return sum[:]
}

// line writes a part in the one way in which it is written.
func (p *part) line() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil { // which ends the line
		return nil, fmt.Errorf("writing evidence: %w", err)
	}
	return b.Bytes(), nil
}

// Checked is what [Verify] found of evidence that is as it was written.
type Checked struct {
	ID       string
	Site     string
	Key      string // the public key, base64
	Parts    int
	Thinned  int       // parts that were taken out for want of room; that they were there is proved
	Replayed int       // verdicts that the judge gave again
	Older    int       // verdicts of another version of the judge, which were not tried
	Complete bool      // its last part says that it is over
	Verdicts []Verdict // in their order, without repetition
	Hash     string    // of the last part: it names all of this
}

// Verify checks evidence: each line is written as it was, in the place where it was,
// signed by key (nil: by the key that the evidence names itself, which proves only that
// nobody without that key has changed it), and each verdict is what the judge makes of
// its facts.
func Verify(file []byte, key ed25519.PublicKey) (Checked, error) {
	var c Checked
	if len(file) > 2*MaxEvidence {
		return c, errors.New("this is too large for evidence")
	}
	if len(file) == 0 || file[len(file)-1] != '\n' {
		return c, errors.New("the last line is cut off")
	}
	prev := ""
	for i, line := range bytes.SplitAfter(file, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		p, err := c.line(i, line, prev, &key)
		if err != nil {
			return c, fmt.Errorf("line %d: %w", i+1, err)
		}
		prev = p.Hash
		c.Parts++
		c.Hash = p.Hash
	}
	return c, nil
}

func (c *Checked) line(i int, line []byte, prev string, key *ed25519.PublicKey) (p part, err error) {
	if json.Unmarshal(line, &p) != nil {
		return p, errors.New("it is not a line of evidence")
	}
	if same, err := p.line(); err != nil || !bytes.Equal(same, line) {
		return p, errors.New("it is not written as a box writes it: it was changed")
	}
	if i == 0 {
		if err := c.begin(&p, key); err != nil {
			return p, err
		}
		prev = genesis(p.Key)
	}
	sig, err := base64.StdEncoding.DecodeString(p.Sig)
	switch {
	case p.Seq != i || p.Prev != prev || i > 0 && p.Key != "":
		return p, errors.New("it does not follow the line before: something was taken out, put in or moved")
	case hex.EncodeToString(p.sum()) != p.Hash:
		return p, errors.New("its hash is not that of what it says: it was changed")
	case err != nil || !ed25519.Verify(*key, p.sum(), sig):
		return p, errors.New("its signature is wrong: it was changed, or another box wrote it")
	case p.Record == nil:
		sig, err := base64.StdEncoding.DecodeString(p.Thinned)
		if err != nil || !ed25519.Verify(*key, p.gone(), sig) {
			return p, errors.New("its record was taken out, and not by the box")
		}
		c.Thinned++
		c.Complete = false
		return p, nil
	case p.Thinned != "":
		return p, errors.New("it says that its record was taken out: it was changed")
	}
	if sum := sha256.Sum256(p.Record); hex.EncodeToString(sum[:]) != p.Content {
		return p, errors.New("its record is not the one that was signed: it was changed")
	}
	return p, c.replay(p.Record)
}

// begin takes the key of the first line.
func (c *Checked) begin(p *part, key *ed25519.PublicKey) error {
	named, err := base64.StdEncoding.DecodeString(p.Key)
	if err != nil || len(named) != ed25519.PublicKeySize {
		return errors.New("it names no key")
	}
	if *key == nil {
		*key = named
	}
	if !bytes.Equal(named, *key) {
		return errors.New("another box's key has signed it")
	}
	c.Key = p.Key
	return nil
}

// replay gives the facts to the judge again.
func (c *Checked) replay(raw []byte) error {
	var r Record
	if json.Unmarshal(raw, &r) != nil || validFacts(r.Facts) != nil {
		return errors.New("its record cannot be read")
	}
	c.ID, c.Site, c.Complete = r.ID, r.Site, r.Kind == After
	if r.Verdict == nil {
		return nil
	}
	if n := len(c.Verdicts); n == 0 || c.Verdicts[n-1].Code != r.Verdict.Code {
		c.Verdicts = append(c.Verdicts, *r.Verdict)
	}
	if r.Judge != JudgeVersion || r.Contract == nil || r.Baseline == nil {
		c.Older++
		return nil
	}
	if again := Judge(r.Facts, *r.Baseline, *r.Contract); again.Code != r.Verdict.Code || again.Owner != r.Verdict.Owner || again.Confidence != r.Verdict.Confidence ||
		strings.Join(again.Why, " ") != strings.Join(r.Verdict.Why, " ") {
		return fmt.Errorf("the judge makes %s of its facts, and it says %s", again.Code, r.Verdict.Code)
	}
	c.Replayed++
	return nil
}
