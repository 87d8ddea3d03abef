package diagnosis_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/diagnosis/sitetest"
)

// scenario is a fault, or several, and what it must be called.
type scenario struct {
	name   string
	breaks func(s *sitetest.Site) (undo func())
	wan    diagnosis.Result // what the gateway says of its port; empty: it works
	want   []diagnosis.Code
}

func together(fs ...sitetest.Fault) func(*sitetest.Site) func() {
	f := sitetest.Together(fs...)
	return func(s *sitetest.Site) func() { return f(s) }
}

func scenarios() []scenario {
	type codes = []diagnosis.Code
	const down = diagnosis.Fails
	return []scenario{
		{"nothing", func(*sitetest.Site) func() { return func() {} }, "", codes{diagnosis.OK}},
		{"cable", (*sitetest.Site).UnplugBox, diagnosis.Unknown, codes{diagnosis.LinkDown}},
		{"no DHCP", (*sitetest.Site).StopDHCP, diagnosis.Unknown, codes{diagnosis.NoLease}},
		{"rogue DHCP", (*sitetest.Site).RogueDHCP, "", codes{diagnosis.RogueDHCP}},
		{"address taken", (*sitetest.Site).DuplicateIP, "", codes{diagnosis.DupIP}},
		{"gateway", (*sitetest.Site).GatewayDead, diagnosis.Unknown, codes{diagnosis.GatewayDown}},
		{"WAN port", (*sitetest.Site).WANPortDown, down, codes{diagnosis.WANPortDown}},
		{"access", (*sitetest.Site).AccessDown, "", codes{diagnosis.AccessDown}},
		{"ISP", (*sitetest.Site).ISPPathBroken, "", codes{diagnosis.ISPPath}},
		{"internet", (*sitetest.Site).InternetDown, "", codes{diagnosis.InternetDown}},
		{"one anchor", func(s *sitetest.Site) func() { return s.AnchorDown(1) }, "", codes{diagnosis.OK}},
		{"two anchors", func(s *sitetest.Site) func() {
			a, b := s.AnchorDown(0), s.AnchorDown(2)
			return func() { a(); b() }
		}, "", codes{diagnosis.Partial}},
		{"IPv6", (*sitetest.Site).V6Down, "", codes{diagnosis.V6OnlyDown}},
		{"resolver", (*sitetest.Site).ResolverDown, "", codes{diagnosis.ResolverDown}},
		{"false names", (*sitetest.Site).DNSHijack, "", codes{diagnosis.DNSHijack}},
		{"port 53", (*sitetest.Site).DNS53Blocked, "", codes{diagnosis.DNS53Blocked}},
		{"portal", (*sitetest.Site).CaptivePortal, "", codes{diagnosis.CaptivePortal}},
		{"large packets", (*sitetest.Site).MTUBlackhole, "", codes{diagnosis.MTUBlackhole}},
		{"clock", func(s *sitetest.Site) func() { return s.ClockWrong(-3 * time.Hour) }, "", codes{diagnosis.ClockWrong}},
		{"NTP servers", (*sitetest.Site).NTPDown, "", codes{diagnosis.OK}},
		{"broker blocked", (*sitetest.Site).BrokerBlocked, "", codes{diagnosis.BrokerBlocked}},
		{"broker down", (*sitetest.Site).BrokerDown, "", codes{diagnosis.BrokerBlocked}},
		{"certificate", (*sitetest.Site).BrokerCertExpired, "", codes{diagnosis.CertExpired}},
		{"intercepted", (*sitetest.Site).TLSIntercepted, "", codes{diagnosis.Intercepted}},
		{"refused", (*sitetest.Site).BrokerAuthRefused, "", codes{diagnosis.AuthRefused}},
		{"name refused", (*sitetest.Site).BrokerIDRejected, "", codes{diagnosis.AuthRefused}},
		{"busy", (*sitetest.Site).BrokerBusy, "", codes{diagnosis.BrokerBusy}},
		{"a rival", (*sitetest.Site).IDTaken, "", codes{diagnosis.IDTaken}},
		{"backup line", (*sitetest.Site).OnBackupWAN, down, codes{diagnosis.OnBackupWAN}},
		{"gateway and resolver", together((*sitetest.Site).GatewayDead, (*sitetest.Site).ResolverDown), diagnosis.Unknown, codes{diagnosis.GatewayDown}},
		{"access and certificate", together((*sitetest.Site).AccessDown, (*sitetest.Site).BrokerCertExpired), "", codes{diagnosis.AccessDown}},
		{"resolver and IPv6", together((*sitetest.Site).ResolverDown, (*sitetest.Site).V6Down), "", codes{diagnosis.ResolverDown}},
		{"one anchor and the broker", together(func(s *sitetest.Site) func() { return s.AnchorDown(0) }, (*sitetest.Site).BrokerBlocked), "", codes{diagnosis.BrokerBlocked}},
	}
}

// labs is how many sites are broken at the same time: a diagnosis mostly waits.
const (
	labs       = 2
	manyLabs   = 6 // in torture, which has the machine for itself
	manyRounds = 20
)

// TestScenarios breaks a site in every way there is, and asks what broke: each once,
// and twenty times at random moments with SITEPROBE_TORTURE.
func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	rounds, labs := 1, labs
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		rounds, labs = manyRounds, manyLabs
	}
	work := make(chan scenario)
	var results table
	t.Run("labs", func(t *testing.T) {
		for i := range labs {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				if i == 0 {
					go feed(work)
				}
				bench := accepted(t)
				for c := range work {
					for range rounds {
						results.add(t, c, bench.once(t, c, rounds > 1))
					}
				}
			})
		}
	})
	t.Log(results.String())
	results.judge(t)
}

// judge holds what verdicts have to be: right in 98 of 100 and in 9 of 10 of each fault,
// never wrong when certain, and seldom without a name. Of one round each that is all of
// them.
func (x *table) judge(t *testing.T) {
	t.Helper()
	all := x.right + x.wrong
	if x.right*100 < all*98 || x.wrongSure > 0 || x.vague*100 > all*5 {
		t.Errorf("right %d of %d, wrong though certain %d, undetermined %d", x.right, all, x.wrongSure, x.vague)
	}
	for name, r := range x.rows {
		if r.good*10 < r.rounds*9 {
			t.Errorf("%s: right %d of %d", name, r.good, r.rounds)
		}
	}
}

func feed(work chan<- scenario) {
	defer close(work)
	for _, c := range scenarios() {
		if only := os.Getenv("SITEPROBE_SCENARIO"); only == "" || only == c.name {
			work <- c
		}
	}
}

// bench is a site that was accepted.
type bench struct {
	site *sitetest.Site
	order
}

func accepted(t *testing.T) *bench {
	t.Helper()
	s := sitetest.New(t, sitetest.Options{})
	b := &bench{s, order{Config: labConfig(&s.Plan), Contract: diagnosis.DefaultContract(), TLS: s.TLS, WANPort: diagnosis.Works}}
	for range 3 {
		a, err := inBox(s, b.order)
		if err != nil {
			t.Fatal(err)
		}
		v := b.judge(a)
		b.Base = b.Base.Learn(a.Facts, v)
		if v.Code != diagnosis.OK {
			t.Fatalf("a healthy site is %+v\n%s", v, listed(a.Facts))
		}
	}
	return b
}

func (b *bench) judge(a answer) diagnosis.Verdict {
	return diagnosis.Judge(a.Facts, b.Base, diagnosis.New(b.Config, b.Contract, diagnosis.Inputs{}).Contract())
}

// outcome is one diagnosis of a fault.
type outcome struct {
	answer
	verdict diagnosis.Verdict
}

// once breaks the site, asks what broke, and mends it.
func (b *bench) once(t *testing.T, c scenario, random bool) outcome {
	t.Helper()
	o := b.order
	if c.wan != "" {
		o.WANPort = c.wan
	}
	if random {
		<-time.After(rand.N(3 * time.Second))
	}
	undo := c.breaks(b.site)
	a, err := inBox(b.site, o)
	if err != nil {
		t.Fatal(err)
	}
	undo()
	b.site.AwaitHealthy(30 * time.Second)
	return outcome{a, b.judge(a)}
}

// table counts outcomes.
type table struct {
	mu                                   sync.Mutex
	right, wrong, sure, wrongSure, vague int
	rows                                 map[string]*row
}

type row struct {
	good, rounds int
	took         time.Duration
	got          map[string]int
}

func (x *table) add(t *testing.T, c scenario, o outcome) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rows == nil {
		x.rows = map[string]*row{}
	}
	r := x.rows[c.name]
	if r == nil {
		r = &row{got: map[string]int{}}
		x.rows[c.name] = r
	}
	v := o.verdict
	ok := slices.Contains(c.want, v.Code)
	r.rounds++
	r.took = max(r.took, o.Took)
	r.got[fmt.Sprintf("%s/%s", v.Code, v.Confidence)]++
	if ok {
		r.good++
		x.right++
	} else {
		x.wrong++
		t.Logf("%s: %+v, want %v\n%s", c.name, v, c.want, listed(o.Facts))
	}
	if v.Confidence == diagnosis.Certain {
		x.sure++
		if !ok {
			x.wrongSure++
		}
	}
	if v.Code == diagnosis.Undetermined {
		x.vague++
	}
}

func (x *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "right %d, wrong %d; certain %d, of these wrong %d; undetermined %d\n", x.right, x.wrong, x.sure, x.wrongSure, x.vague)
	for _, c := range scenarios() {
		if r := x.rows[c.name]; r != nil {
			fmt.Fprintf(&b, "%-26s %d/%d  at most %4.1fs  %v\n", c.name, r.good, r.rounds, r.took.Seconds(), r.got)
		}
	}
	return b.String()
}

func listed(fs []diagnosis.Fact) string {
	var b strings.Builder
	slices.SortFunc(fs, func(a, b diagnosis.Fact) int { return int(a.Stage) - int(b.Stage) })
	for _, f := range fs {
		fmt.Fprintf(&b, "  %2d %-20s %-22s %d %-8s %s %v %dms\n", f.Stage, f.Name, f.Target, f.Family, f.Result, f.Detail, f.Numbers, f.TookMS)
	}
	return b.String()
}
