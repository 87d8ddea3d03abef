package snmptest

import (
	"slices"
	"sync"
)

// MIB is what an agent serves: variables in the order of their identifiers. It
// may be changed while it is served. Several agents may serve the same one.
type MIB struct {
	mu   sync.RWMutex
	vars []variable
}

type variable struct {
	name  oid
	body  []byte // the name in BER
	value Value
	fn    func() Value // instead of value
}

// Set puts a variable in, or another value in its place. It panics where name is
// no object identifier.
func (m *MIB) Set(name string, v Value) { m.put(name, variable{value: v}) }

// SetFunc puts a variable in whose value fn tells. fn is called once for each
// request that touches the variable, never twice at the same time for the same
// agent, and must not call the MIB.
func (m *MIB) SetFunc(name string, fn func() Value) { m.put(name, variable{fn: fn}) }

func (m *MIB) put(name string, v variable) {
	v.name = mustOID(name)
	v.body = v.name.body()
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := m.find(v.name)
	if found {
		m.vars[i] = v
		return
	}
	m.vars = slices.Insert(m.vars, i, v)
}

// Delete takes out the variable of that name and all below it. It panics where
// name is no object identifier.
func (m *MIB) Delete(name string) {
	root := mustOID(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.vars = slices.DeleteFunc(m.vars, func(v variable) bool { return below(v.name, root) })
}

// Len tells how many variables there are.
func (m *MIB) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.vars)
}

func below(o, root oid) bool {
	return len(o) >= len(root) && slices.Equal(o[:len(root)], root)
}

// find gives the place of o, or where it would be.
func (m *MIB) find(o oid) (int, bool) {
	return slices.BinarySearchFunc(m.vars, o, func(v variable, o oid) int { return v.name.compare(o) })
}

// after gives the place of the first variable behind o.
func (m *MIB) after(o oid) int {
	i, found := m.find(o)
	if found {
		i++
	}
	return i
}

// column tells whether there is any variable below o.
func (m *MIB) column(o oid) bool {
	i, _ := m.find(o)
	return i < len(m.vars) && below(m.vars[i].name, o)
}
