// Package opsredis keeps runs in Redis and brings them to workers through asynq.
//
// Store is the truth. Each write is one Lua script. Scripts take their times from
// Redis, treat the record as opaque text, and may be repeated by the client after a
// lost reply: a script that is not idempotent by nature carries a nonce, and with the
// same nonce again it answers what it answered first and does nothing. So a client may
// be left its default retries.
//
// Redis must neither evict (maxmemory-policy noeviction) nor forget (appendonly yes):
// what is in here is the only copy.
//
// Dispatcher is only a means to run ticks at their time on some replica. Everything
// asynq keeps may be lost, doubled or late; the engine's sweeper brings runs back.
package opsredis
