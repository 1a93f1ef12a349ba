// Package slacksim is a strict Slack of the project's own: one workspace on the wire
// protocol, for the tests of the whole bot and, with its page, for "twokey demo".
//
// It serves the Web API under /api/, response URLs under /response/, upload URLs under
// /upload/, Socket Mode under /link, and the sandbox page under /sandbox/. Commands,
// clicks and events reach the app by Socket Mode, or by signed HTTP requests when UseHTTP
// was called.
//
// Strict means: where Slack's behaviour is documented it does the same; where it is
// only reported, it does the version that hurts a careless bot more. What a correct
// bot never does (unknown methods and arguments, invalid blocks, over-long texts,
// acknowledgements of nothing) is refused as Slack would and also kept in Violations, so a
// test can end with "none". What can happen to a correct bot (channel_not_found,
// ratelimited, message_not_found) is only in Calls.
//
// Tests drive it as people do: Command, Say, Click, React. They look at it as people
// do: Channel, Thread, Ephemerals, and WaitFor. Fault and FaultDeliveries break it.
//
// All times come from package time, so it works inside a testing/synctest bubble when
// it is created there and reached through Pipe. It imports nothing of the product.
package slacksim
