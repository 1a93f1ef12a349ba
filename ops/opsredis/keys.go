package opsredis

// All keys of this package. The hash tag puts them in one slot, so that scripts may
// touch several.
const (
	prefix = "{twokey:ops}:"

	// keyWake: sorted set of live run ids by the time of their next tick, ms.
	keyWake = prefix + "wake"
	// keyLive: sorted set of live run ids by creation, ms.
	keyLive = prefix + "live"
	// keyEnded: sorted set of ended run ids by their end, ms; trimmed after keep.
	keyEnded = prefix + "ended"
	// keyChanged: sorted set of run ids by their oldest unsettled write, ms.
	keyChanged = prefix + "changed"
	// keyLocks: hash of resource to the id of the run that holds it.
	keyLocks = prefix + "locks"

	// prefixRun, with the id: hash of one run. Fields: run (the record, JSON), rev,
	// epoch, holder (nonce of the claim, or empty), until (ms), ttl (of the latest claim, ms), task, tasks (count),
	// flag, flag_by, created (ms), ended (ms; absent while live), title and by (for
	// others that want its locks), turned (1: a dial was, since they were last read), born, last, answer (nonces, see the scripts).
	prefixRun = prefix + "run:"
	// prefixEvents, with the id: list of "ms JSON"; the position is Seq-1.
	prefixEvents = prefix + "events:"
	// prefixHeld, with the id: set of the resources the run has locked.
	prefixHeld = prefix + "held:"
	// prefixParts, with the id: hash of a part's key to "nonce.number value": the claim
	// and the write it is from.
	prefixParts = prefix + "parts:"
	// prefixDials, with the id: hash of a dial's name to "ms JSON".
	prefixDials = prefix + "dials:"
	// prefixNonce, with a nonce: the answer of a write that no claim covers, for a minute.
	prefixNonce = prefix + "nonce:"
)

// queue is asynq's queue; its keys are asynq's own, {asynq:twokey-ops}….
const queue = "twokey-ops"

func keyRun(id string) string      { return prefixRun + id }
func keyEvents(id string) string   { return prefixEvents + id }
func keyHeld(id string) string     { return prefixHeld + id }
func keyParts(id string) string    { return prefixParts + id }
func keyDials(id string) string    { return prefixDials + id }
func keyNonce(nonce string) string { return prefixNonce + nonce }
