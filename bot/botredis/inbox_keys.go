package botredis

// Keys of the inbox. They share one hash tag, so that its scripts touch one slot
// of a cluster.
//
//	twokey:{inbox}:due          sorted set of item keys by the time (ms) they may be taken
//	twokey:{inbox}:item:<key>   hash: item (JSON, gone once done), nonce, tries, retry
//	twokey:{inbox}:take:<nonce> what a Take returned, for its repetition; one minute
const (
	inboxDue        = "twokey:{inbox}:due"
	inboxItemPrefix = "twokey:{inbox}:item:"
	inboxTakePrefix = "twokey:{inbox}:take:"
)

func inboxItem(key string) string   { return inboxItemPrefix + key }
func inboxTake(nonce string) string { return inboxTakePrefix + nonce }
