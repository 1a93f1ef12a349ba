// Package registerredis keeps the index register in Redis, where readers and writers in
// any language may look it up themselves; docs/register.md has the keys, which are fixed
// for that reason.
//
// A change is one Lua script that compares and sets. It carries a nonce: repeated by the
// client after a lost reply, it answers what it answered first.
package registerredis
