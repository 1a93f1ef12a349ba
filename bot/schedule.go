package bot

import (
	"slices"
	"time"
)

// schedule is the sender's picture of what waits: pure, in memory, rebuilt from the
// Queue by whoever becomes the sender. It decides what may be sent now, and what of
// that first.
//
// Order: replies of one thread go out in the order they were put, and the thread is as
// urgent as the most urgent of them, so that an ending neither overtakes a milestone of
// its own thread nor waits behind other threads'. Between threads, cards and edits:
// urgency, then age.
//
// Files are the exception: they take longer, and may be stuck while posts are not. One is
// under way at a time, and replies wait for the files before them for fileHold, or
// urgentFileHold where an urgent one is among them, and then pass.
type schedule struct {
	entries map[string]*entry
	threads map[string][]*entry // posts by thread, oldest first
	roots   map[string]Root     // posts that entries go under, as far as known
	blocked map[string]time.Time
	stuck   map[string]time.Time // threads by since when a reply waits for files alone
	file    bool                 // one is under way
	live    int                  // entries that are progress edits
	mark    int64
}

// entry is one message that waits or is being sent.
type entry struct {
	key, under, thread string
	act                Act
	urgency            Urgency
	channel            string
	method             string
	file               bool
	first, mark        int64
	due                time.Time
	sent               time.Time // an Edit: last time; zero: never
	sending            bool
	uses               []Rate // what its call will use; nil: not known yet
}

func newSchedule() *schedule {
	return &schedule{entries: map[string]*entry{}, threads: map[string][]*entry{}, roots: map[string]Root{}, blocked: map[string]time.Time{}, stuck: map[string]time.Time{}}
}

// add takes in what the Queue told: a new message, or one put again.
func (s *schedule) add(in Entry, now time.Time) {
	s.mark = max(s.mark, in.Mark)
	sending := false
	var stuck time.Time
	if old := s.entries[in.Key]; old != nil {
		sending, stuck = old.sending, s.stuck[old.thread]
		s.remove(in.Key)
	}
	e := &entry{
		key: in.Key, under: in.Under, act: in.Act, urgency: in.Urgency, channel: in.Channel,
		method: in.method(), file: in.uploads(), first: in.First, mark: in.Mark,
		due: now.Add(in.Wait), sending: sending,
	}
	if in.Quiet >= 0 {
		e.sent = now.Add(-in.Quiet)
	}
	s.entries[in.Key] = e
	if e.isLive() {
		s.live++
	}
	if in.Act == Post && (in.Thread != "" || in.Under != "") {
		e.thread = in.Channel + " " + in.Thread
		if in.Thread == "" {
			e.thread = in.Under
		}
		list := append(s.threads[e.thread], e)
		for i := len(list) - 1; i > 0 && list[i].first < list[i-1].first; i-- {
			list[i], list[i-1] = list[i-1], list[i]
		}
		s.threads[e.thread] = list
		if e.file && !stuck.IsZero() {
			s.stuck[e.thread] = stuck // a step further, and still in the way
		}
	}
}

func (e *entry) isLive() bool { return e.act == Edit && e.urgency == Live }

// remove forgets a message.
func (s *schedule) remove(key string) {
	e := s.entries[key]
	if e == nil {
		return
	}
	delete(s.entries, key)
	if e.isLive() {
		s.live--
	}
	if e.thread == "" {
		return
	}
	list := s.threads[e.thread]
	for i := range list {
		if list[i] == e {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if s.threads[e.thread] = list; len(list) == 0 {
		delete(s.threads, e.thread)
	}
	if !slices.ContainsFunc(list, func(e *entry) bool { return e.file }) {
		delete(s.stuck, e.thread)
	}
}

// unknown returns the posts that messages wait for and of which nothing is known yet.
func (s *schedule) unknown() []string {
	var keys []string
	seen := map[string]bool{}
	for _, e := range s.entries {
		if e.under != "" && !seen[e.under] && !s.settled(e.under) && s.entries[e.under] == nil {
			seen[e.under] = true
			keys = append(keys, e.under)
		}
	}
	return keys
}

func (s *schedule) settled(key string) bool {
	r := s.roots[key]
	return r.Posted || r.Dropped
}

// next returns the message to send now, or nil.
func (s *schedule) next(now time.Time) *entry {
	var best *entry
	var bestUrgency Urgency
	for _, e := range s.entries {
		if !s.ready(e, now) {
			continue
		}
		u := s.urgency(e)
		if best == nil || u < bestUrgency || u == bestUrgency && e.first < best.first {
			best, bestUrgency = e, u
		}
	}
	return best
}

// urgency is the entry's own, or that of the most urgent of its thread.
func (s *schedule) urgency(e *entry) Urgency {
	u := e.urgency
	for _, other := range s.threads[e.thread] {
		u = min(u, other.urgency)
	}
	return u
}

func (s *schedule) ready(e *entry, now time.Time) bool {
	if e.sending || now.Before(e.due) || e.file && s.file {
		return false
	}
	if e.isLive() && now.Before(e.sent.Add(editEvery(s.live))) {
		return false
	}
	if e.under != "" && !s.settled(e.under) {
		return false
	}
	if e.thread != "" && s.held(e, now) {
		return false
	}
	for _, r := range s.rates(e) {
		if now.Before(s.blocked[r.Key]) {
			return false
		}
	}
	return true
}

// How long a reply waits for the files before it.
const (
	fileHold       = time.Minute
	urgentFileHold = 5 * time.Second
)

// held reports whether a reply must wait for another that was put before it.
func (s *schedule) held(e *entry, now time.Time) bool {
	files := false
	for _, before := range s.threads[e.thread] {
		if before == e {
			break
		}
		if e.file || !before.file {
			return true
		}
		files = true
	}
	if !files {
		return false
	}
	since, ok := s.stuck[e.thread]
	if !ok {
		since = now
		s.stuck[e.thread] = now
	}
	if s.urgency(e) == Urgent {
		return now.Sub(since) < urgentFileHold
	}
	return now.Sub(since) < fileHold
}

// rates are what the entry's call will use, once the post it goes under is settled.
func (s *schedule) rates(e *entry) []Rate {
	if e.uses == nil {
		channel := e.channel
		if p := s.roots[e.under]; p.Posted {
			channel = p.Channel
		}
		e.uses = rates(e.method, channel, e.isLive())
	}
	return e.uses
}

// method is the next call that delivers a message. "" is one without a rate: a
// response_url, or a look for a file, which asks the budget itself.
func (m Message) method() string {
	switch m.Act {
	case Post:
		return m.postMethod()
	case Edit:
		return "chat.update"
	case Whisper:
		return "chat.postEphemeral"
	}
	return ""
}
