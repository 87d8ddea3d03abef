// Package profile says what to ask a kind of device and what the answers are
// called.
package profile
