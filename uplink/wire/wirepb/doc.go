// Package wirepb is generated from wire.proto, the published form of what a box
// and its hub say to each other; `make generate` writes it anew.
package wirepb
