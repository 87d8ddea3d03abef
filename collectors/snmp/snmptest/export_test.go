package snmptest

// Answer is what an agent makes of a message, without a socket.
func Answer(a *Agent, msg []byte) []byte {
	var w worker
	return w.answer(msg, a, a.manners.Load())
}
