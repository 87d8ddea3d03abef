// Package blockpb is generated from block.proto, the published form of
// siteprobe's blocks; `make generate` writes it anew.
package blockpb
