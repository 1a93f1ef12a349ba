// Package registertest has the suite that every indices.Register passes, and a register
// over HTTP in memory, for tests.
package registertest
