// Package ops carries out approved plans and survives what happens meanwhile.
//
// An Operation plans against the live system and offers Steps; a Query only
// reads. A plan that people agreed to becomes a Run: a record in the Store that
// is the truth about how far the work is. The Engine advances a run by short
// ticks: claim the record, look at the world, act, write, release. Any replica
// may do the next tick; a claim raises the record's epoch, and every write of an
// older holder is refused (ErrFenced).
//
//	            lock held, or plan worse                  cancel / failure
//	starting ------------------------> failed | superseded
//	   |                                       .----------------------.
//	   v                                       |                      v
//	running --(all steps done)--> done         |   undoing --> cancelled | failed
//	   |  ^                                    |      ^
//	   v  | resume                             |      |
//	 paused -----------------------------------'------'
//
// Starting takes the locks of Plan.Locks and plans once more: another digest or
// a worse fact ends the run as superseded before anything was written.
//
// Each change to the outside world is written into the run's journal before it is
// made (Tick.Record) and settled after it was read back (Tick.Settle). Every ending
// lists each entry as restored, kept as planned, or left with the reason.
//
// A step that works on thousands of things keeps the state of each in a part
// (Tick.PutPart): a fenced write of its own, so that the record stays small; it drives
// several at once from goroutines within one call, and journals many changes in one
// write (Tick.RecordAll). What a person may change while a run is live, such as a
// throttle, is a dial (Engine.Turn), which the step reads at each poll (Tick.Dials). A
// step that asks to be polled again within a second is, in the same tick. What is too
// long for a message goes into the thread as a file (Tick.Attach).
//
// Nothing in here knows Slack, Redis, Elasticsearch or AWS.
package ops
