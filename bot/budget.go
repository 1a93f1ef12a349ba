package bot

import (
	"context"
	"time"
)

// Budget is the rate that all replicas share of what Slack allows the app.
type Budget interface {
	// Take uses one call of each rate, or of none: then it returns how long to wait and
	// the key of the rate that makes it wait longest.
	Take(ctx context.Context, rates []Rate) (wait time.Duration, key string, err error)
	// Block lets nobody take from the rate until d is over.
	Block(ctx context.Context, key string, d time.Duration) error
}

// Rate allows Burst calls at once and one more each Every: in any minute at most
// Burst + 1 min / Every.
type Rate struct {
	Key   string
	Every time.Duration
	Burst int
}

// Slack's tiers are calls a minute of a method by the app in a workspace: tier 3 is
// 50, tier 4 is 100. chat.postMessage is one a second in a channel, and "several
// hundred" a minute in all. Every rate here stays below, counted over any minute.
const minute = time.Minute

// liveEdits is what progress may use of chat.update's 50 a minute. The rest is free
// for cards and endings at any time.
const liveEdits = 40

// rates are what a call uses. The first is the one a 429 blocks.
func rates(method, channel string, live bool) []Rate {
	switch method {
	case "chat.postMessage":
		return []Rate{
			{Key: method + ":" + channel, Every: 1050 * time.Millisecond, Burst: 1},
			{Key: method, Every: minute / 180, Burst: 20},
		}
	case "chat.update":
		all := Rate{Key: method, Every: minute / 43, Burst: 6}
		if live {
			return []Rate{all, {Key: method + ":live", Every: minute / (liveEdits - 4), Burst: 4}}
		}
		return []Rate{all}
	case "chat.postEphemeral", uploadMethod, shareMethod:
		return []Rate{{Key: method, Every: minute / 80, Burst: 15}}
	case "conversations.history", "conversations.replies", "conversations.open":
		return []Rate{{Key: method, Every: minute / 40, Burst: 8}}
	}
	return nil // a response_url has no rate, only five uses
}

// fileLooks is what looking for files may use of conversations.replies: the rest is free
// for posts whose reply was lost, which may be endings.
var fileLooks = Rate{Key: "conversations.replies:files", Every: minute / 20, Burst: 4}

// editEvery is how long a post's progress edits are apart when this many have some to
// show: 15 s, or what shares liveEdits among them.
func editEvery(live int) time.Duration {
	return max(15*time.Second, time.Duration(live)*minute/liveEdits)
}
