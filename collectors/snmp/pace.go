package snmp

// pace is how much one request asks of one device: learned by asking, kept for as
// long as the collector lives. It starts small, grows with every answer that is
// whole and falls when an answer is too big, or lost as large ones are where a
// network drops fragments. GetNext is the last resort, and all that v1 has.
type pace struct {
	rung    int // in ladder
	ceiling int // the highest rung that may be climbed to
	good    int // whole answers since the last trouble
	proven  int // the highest rung that was answered
	bulk    bool

	// What the settings allow.
	v1      bool
	columns int // the most columns in one request
	maxReps int
	top     int // the highest rung
}

type shape struct{ columns, reps int }

// forgive is after how many good answers a ceiling is lifted by one rung: trouble
// may have been a lost packet and not the device.
const forgive = 200

// ladder is what may be asked for at once; each step down is about half.
func ladder(rung int) shape {
	return [...]shape{{1, 1}, {1, 4}, {3, 4}, {5, 5}, {5, 10}, {8, 16}, {11, 25}, {11, 50}, {11, 127}}[rung]
}

const (
	leadRung  = 3 // the first with scalars in front
	startRung = 4
	wideRung  = 6 // the first with all the columns that one request may have
	topRung   = 8
)

func newPace(v1 bool, columns, maxReps int) pace {
	top := wideRung
	for top < topRung && ladder(top).reps < maxReps {
		top++
	}
	return pace{
		rung: startRung, ceiling: top, bulk: !v1,
		v1: v1, columns: columns, maxReps: maxReps, top: top,
	}
}

// next is how many columns and repetitions to ask for; reps 0 means GetNext.
func (p *pace) next() shape {
	s := ladder(p.rung)
	s.columns = min(s.columns, p.columns)
	s.reps = min(s.reps, p.maxReps)
	if !p.bulk {
		s.reps = 0
	}
	return s
}

// leads tells whether a request may have scalars in front of its columns: a small
// one has no room for them, and one larger than was ever answered is not for
// finding out whether the device is there.
func (p *pace) leads() bool { return p.bulk && p.rung >= leadRung && p.rung <= p.proven }

// answered notes an answer, whole or cut short.
func (p *pace) answered() { p.proven = max(p.proven, p.rung) }

// whole notes an answer that held all that was asked for.
func (p *pace) whole() {
	if p.good++; p.good >= forgive {
		p.good = 0
		if !p.bulk && !p.v1 {
			p.bulk, p.rung = true, 0
		}
		p.ceiling = min(p.ceiling+1, p.top)
	}
	p.rung = min(p.rung+1, p.ceiling)
}

// shrink notes an answer that was too big or did not come. It returns false where
// there is nothing smaller left to ask for.
func (p *pace) shrink() bool {
	p.good = 0
	switch {
	case p.rung > 0:
		p.rung--
		p.ceiling, p.proven = p.rung, min(p.proven, p.rung)
		return true
	case p.bulk:
		p.bulk = false
		return true
	}
	return false
}

// single gives up GetBulk for good answers' sake, and all but one column.
func (p *pace) single() bool {
	if p.rung == 0 && !p.bulk {
		return false
	}
	p.good, p.rung, p.ceiling, p.bulk = 0, 0, 0, false
	return true
}

// noBulk gives up GetBulk, which the agent does not know or cannot do.
func (p *pace) noBulk() {
	p.good, p.bulk = 0, false
}
