// Package bot is what enters and leaves Slack.
//
// In: a transport (Socket Mode, or HTTP with v0 signatures) receives an envelope,
// verifies it, stores it in the Inbox and only then acknowledges it, within
// Slack's three seconds. A worker of any replica takes it from there, once per
// effect: the Inbox's key is what the person did (channel and ts of a message,
// action_ts of a click, actor and emoji of a reaction), not Slack's event id. It is done
// when its effects are stored.
//
// Out: everything the bot says is a Message in the Outbox, in Redis, under a key that
// says what it is ("card:<id>"). One sender per workspace at a time works through it
// within Slack's rate budget: replies, approvals and endings first, then milestones,
// progress last. A later edit of the same post replaces an earlier one that was not
// sent yet. A file is a post too; where Slack does not take it in time, other posts pass it.
//
// The Reporter makes messages out of requests and runs: it follows what changed in
// both stores and renders the present state, so it may be killed at any point
// and do the same again.
package bot
