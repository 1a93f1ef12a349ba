package approvalsredis

import "time"

// All keys share one hash tag, because each script writes several of them at once.
const tag = "twokey:{approvals}:"

// The keys of this package.
const (
	// keyOpen is a sorted set: ids of requests pending or approved, by time of creation.
	keyOpen = tag + "open"
	// keyChanged is a sorted set: ids of requests written since they were last
	// settled, by the time since when they wait.
	keyChanged = tag + "changed"
	// keySuffixes is a sorted set of ids written backwards, all with score 0: the ids
	// that end in a word are a range of it.
	keySuffixes = tag + "suffixes"
	// keyEnded is a sorted set: ids of requests that are final, by the time of their
	// last write. It tells which entries of the other sets have outlived their request.
	keyEnded = tag + "ended"
)

// keyRequest is a hash: rev, and body, the request as JSON.
func keyRequest(id string) string { return tag + "request:" + id }

// keyTrigger is a string: the id of the request made for the trigger.
func keyTrigger(trigger string) string { return tag + "trigger:" + trigger }

// keyNonce is a string: what the script called with this nonce answered.
func keyNonce(nonce string) string { return tag + "nonce:" + nonce }

// How long things are kept.
const (
	// keepEnded is how long a final request is kept after its last write.
	keepEnded = 30 * 24 * time.Hour
	// keepTrigger is longer than any request lives that was made for it.
	keepTrigger = 60 * 24 * time.Hour
	// keepNonce is longer than a client goes on repeating one call.
	keepNonce = 10 * time.Minute
)
