package e2e

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// community is what the agents of these tests ask for.
const community = "e2e-community"

// fleet is agents on loopback ports of their own. Each has one interface, whose
// ifHCInOctets is another number in every answer that was ever given: the number of
// the device above, the answers so far below. The fleet is the ledger of them.
type fleet struct {
	agents []*agent
}

type agent struct {
	name   string
	addr   string
	number uint64
	given  atomic.Uint64 // the last answer
}

// deviceShift leaves the lower bits of a value to the count of answers.
const deviceShift = 40

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{}
	for i := range n {
		a := &agent{name: fmt.Sprintf("d%d", i), number: uint64(i + 1)}
		s, err := snmptest.Listen("", snmptest.Config{MIB: a.mib(), Community: community})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		a.addr = s.Addr().String()
		f.agents = append(f.agents, a)
	}
	return f
}

func (a *agent) mib() *snmptest.MIB {
	const (
		system = "1.3.6.1.2.1.1."
		ifs    = "1.3.6.1.2.1.2.2.1."
		ifx    = "1.3.6.1.2.1.31.1.1.1."
	)
	m := &snmptest.MIB{}
	start := time.Now()
	m.Set(system+"1.0", snmptest.Octets("an agent of the end-to-end tests"))
	m.Set(system+"2.0", snmptest.ObjectID("1.3.6.1.4.1.8072.9999.1"))
	m.SetFunc(system+"3.0", func() snmptest.Value {
		return snmptest.TimeTicks(uint32((time.Hour + time.Since(start)) / (10 * time.Millisecond)))
	})
	m.Set(system+"5.0", snmptest.Octets(a.name))
	m.Set("1.3.6.1.2.1.31.1.5.0", snmptest.TimeTicks(0))
	m.Set(ifs+"2.1", snmptest.Octets("port 1"))
	m.Set(ifs+"7.1", snmptest.Integer(1))
	m.Set(ifs+"8.1", snmptest.Integer(1))
	m.Set(ifx+"1.1", snmptest.Octets("p1"))
	m.SetFunc(ifx+"6.1", func() snmptest.Value { return snmptest.Counter64(a.number<<deviceShift | a.given.Add(1)) })
	m.Set(ifx+"18.1", snmptest.Octets(""))
	return m
}

// answered tells whether a device ever gave a value.
func (f *fleet) answered(device string, value uint64) bool {
	for _, a := range f.agents {
		if a.name == device {
			n := value & (1<<deviceShift - 1)
			return value>>deviceShift == a.number && n >= 1 && n <= a.given.Load()
		}
	}
	return false
}
