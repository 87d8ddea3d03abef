// Package conventions has no code, only tests: what everybody who works on this
// repository may rely on, held by the machine instead of by memory. Each failure
// says what to do and why.
//
// The tests read the source with go/parser and nothing else, so they need
// neither a build nor the network:
//
//	imports_test.go   who may import whom, and which package owns which dependency
//	source_test.go    package docs, no init functions, no changing globals, no sleeps
//	tree_test.go      the top level, file lengths, nothing of a developer's machine
//	units_test.go     the systemd units' exposure, by systemd-analyze where there is one
package conventions
