package loadtest

import (
	"math"
	"math/rand/v2"
)

// port is one interface of a switch.
type port struct {
	use              use
	admin            int64
	down             float64 // s until it is up again after a flap
	speed            float64 // Mbit/s
	rateIn, rateOut  float64 // logarithm of the usual octets/s
	nowIn, nowOut    float64 // how far it is from that just now, in spreads
	wide             float64 // spread of the logarithm
	faults, overflow float64 // errors and discards per second, on average

	in, out                                      uint64
	inDiscards, inErrors, outDiscards, outErrors uint64
}

type use uint8

const (
	unplugged use = iota
	idle          // up, with hellos only
	desk          // follows the working day
	machine       // does not
)

// newPort is a quarter unplugged, a seventh idle.
func newPort(r *rand.Rand, uplink bool) port {
	p := port{admin: 1, speed: 1000, wide: 0.5 + r.Float64()*0.7,
		rateIn: math.Log(4e3) + 1.8*r.NormFloat64(), rateOut: math.Log(12e3) + 1.8*r.NormFloat64(),
		nowIn: r.NormFloat64(), nowOut: r.NormFloat64()}
	switch x := r.Float64(); {
	case uplink:
		p.use, p.speed, p.wide = machine, 10_000, 0.4
		p.rateIn, p.rateOut = math.Log(2e6), math.Log(6e5)
	case x < 0.25:
		p.use = unplugged
		if x < 0.04 {
			p.admin = 2
		}
	case x < 0.40:
		p.use = idle
	case x < 0.75:
		p.use = desk
	default:
		p.use = machine
	}
	if !uplink && p.use != unplugged && r.IntN(10) == 0 {
		p.speed = 100
	}
	if p.use != unplugged || r.IntN(2) == 0 { // was in use once
		age := r.ExpFloat64() * 50 * 86400
		p.in, p.out = uint64(math.Exp(p.rateIn)*age), uint64(math.Exp(p.rateOut)*age)
	}
	if p.use != unplugged && r.IntN(25) == 0 {
		p.faults = 1 / (600 + 20_000*r.Float64())
		p.inErrors = uint64(r.ExpFloat64() * 2000)
	}
	if p.use >= desk && r.IntN(8) == 0 {
		p.overflow = 1 / (300 + 20_000*r.Float64())
		p.outDiscards = uint64(r.ExpFloat64() * 20_000)
	}
	return p
}

func (p *port) oper() int64 {
	if p.use == unplugged || p.admin != 1 || p.down > 0 {
		return 2
	}
	return 1
}

// flapEvery is how long an interface stays up on average, in seconds.
const flapEvery = 8 * 86400

// step lets s seconds pass.
func (p *port) step(r *rand.Rand, s, day, steady, remember, spread float64) {
	if p.use == unplugged {
		return
	}
	if p.down > 0 {
		p.down -= s
		return
	}
	if r.Float64()*flapEvery < s {
		p.down = r.ExpFloat64() * 300
		return
	}
	if p.use == idle {
		p.hellos(r, s)
		return
	}
	if p.use == desk {
		steady = day
	}
	// Both directions are of the same talk, mostly.
	both := r.NormFloat64()
	p.nowIn = remember*p.nowIn + spread*(0.8*both+0.6*r.NormFloat64())
	p.nowOut = remember*p.nowOut + spread*(0.8*both+0.6*r.NormFloat64())
	line := p.speed * 125_000 * s
	p.in += uint64(min(line, s*math.Exp(p.rateIn+steady+p.wide*p.nowIn)))
	p.out += uint64(min(line, s*math.Exp(p.rateOut+steady+p.wide*p.nowOut)))
	if p.faults > 0 && r.Float64() < s*p.faults {
		p.inErrors += 1 + uint64(r.ExpFloat64()*2)
	}
	if p.overflow > 0 && r.Float64() < s*p.overflow {
		p.outDiscards += 1 + uint64(r.ExpFloat64()*40)
	}
}

// hellos are spanning tree every 2 s and LLDP every 30 s outwards, and whatever a
// sleeping station says now and then.
func (p *port) hellos(r *rand.Rand, s float64) {
	p.out += 64*whole(r, s/2) + 247*whole(r, s/30)
	if r.IntN(3) == 0 {
		p.in += 64 * uint64(1+r.IntN(3))
	}
}

// whole rounds up or down, so that it comes out right on average.
func whole(r *rand.Rand, x float64) uint64 { return uint64(x + r.Float64()) }
