package botredis

// Keys of what the bot says. Those one script touches share a hash tag. The inbox has
// its own in inbox_keys.go.
//
//	twokey:{outbox}:seq             counter of puts
//	twokey:{outbox}:waiting         sorted set of the keys of messages to be sent, by the counter at their last put
//	twokey:{outbox}:msg:<key>       hash of one message, below; 90 days after it was sent or dropped
//	twokey:{outbox}:at:<channel>:<ts> key of the post there; as long as the post's hash
//	twokey:{outbox}:lease:<name>    who does a work that one process at a time does
//
// Fields of a message: body (JSON; gone once sent or dropped), ver (counter at the
// last put), first (at the first put since it was last sent: its age), urg, rev and
// hash (see Put); claim (nonce), state ("sending", "sent", "dropped"), doubt (1: may be
// posted, nobody knows; was: what a claim answered), tried (ms, first attempt), tries,
// nb (ms, not before), sent (ms, last time), channel and ts (where the post is), err.
//
//	twokey:{budget}:rate:<key>      when the rate is used up to (ms), theoretical arrival time
//	twokey:{budget}:block:<key>     exists while Slack said to wait
//	twokey:{budget}:take:<nonce>    what a Take answered, for its repetition; ten seconds
//
//	twokey:{threads}:<id>           hash: origin (JSON), cursor; 90 days after the last write
const (
	outboxSeq     = "twokey:{outbox}:seq"
	outboxWaiting = "twokey:{outbox}:waiting"
)

func outboxMessage(key string) string    { return "twokey:{outbox}:msg:" + key }
func outboxAt(channel, ts string) string { return "twokey:{outbox}:at:" + channel + ":" + ts }
func outboxLease(name string) string     { return "twokey:{outbox}:lease:" + name }
func budgetRate(key string) string       { return "twokey:{budget}:rate:" + key }
func budgetBlock(key string) string      { return "twokey:{budget}:block:" + key }
func budgetTake(nonce string) string     { return "twokey:{budget}:take:" + nonce }
func threadOf(id string) string          { return "twokey:{threads}:" + id }
