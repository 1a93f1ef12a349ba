// Package approvals decides who must agree to a plan, collects their votes, and
// launches what was agreed, once.
//
//	            quorum                launched
//	pending -------------> approved ------------> launched
//	   |  ^                  |  |
//	   |  '--vote withdrawn--'  '--cancelled, declined, superseded--.
//	   '----declined, expired, cancelled, superseded----------------'--> ended
//
// Just before the launch those who approved are asked about again: the vote of one who
// may not approve any more is taken back, and without a quorum the request is pending
// again. So it is if the policy asks for more by then.
//
// An approved request is marked Launching, in the store, before its Launcher is
// first called. From then on nothing leads back: votes, withdrawals and cancelling
// answer ErrLaunched, because a run may exist. A crash between mark and launch
// makes the sweeper launch it again, so the Launcher must be idempotent by id.
//
// Apply is that picture as a pure function. Service adds the store, the check of
// who may vote (asked of the Directory at that moment), expiry and relaunch. It
// knows nothing of what a plan does: the plan is sealed bytes with a digest, and a
// Launcher that makes launching idempotent by id.
package approvals
