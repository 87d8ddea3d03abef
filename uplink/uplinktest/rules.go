package uplinktest

// SwallowPubacks swallows the broker's PUBACKs and closes the connection in place
// of the n-th.
func SwallowPubacks(n int) Rule {
	return func(p *Packet) Verdict {
		switch {
		case p.FromClient || p.Type != Puback:
			return Pass
		case p.N >= n:
			return Cut
		}
		return Drop
	}
}

// KillAfter closes the connection in place of the client's n+1-th PUBLISH.
func KillAfter(n int) Rule {
	return func(p *Packet) Verdict {
		if p.FromClient && p.Type == Publish && p.N > n {
			return Cut
		}
		return Pass
	}
}

// StopReading reads nothing from the client after its n-th PUBLISH: the line is
// half open, and its buffers fill up.
func StopReading(n int) Rule {
	return func(p *Packet) Verdict {
		if p.FromClient && p.Type == Publish && p.N > n {
			return Stall
		}
		return Pass
	}
}

// RefuseConnack makes every CONNACK one with the given code.
func RefuseConnack(code byte) Rule {
	return func(p *Packet) Verdict {
		if !p.FromClient && p.Type == Connack {
			p.Raw = []byte{Connack << 4, 2, 0, code}
		}
		return Pass
	}
}

// DenySubscriptions makes every code of a SUBACK a refusal.
func DenySubscriptions(p *Packet) Verdict {
	if !p.FromClient && p.Type == Suback {
		for i := 4; i < len(p.Raw); i++ { // type, length, and two bytes of packet id
			p.Raw[i] = 0x80
		}
	}
	return Pass
}

// Silence swallows everything in both directions and closes nothing.
func Silence(*Packet) Verdict { return Drop }
