package elasticsim

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// store holds the documents of one shard, of all its copies alike. Writes are seen by
// reads of a document at once, by searches after the next refresh.
type store struct {
	docs    map[string]*entry
	next    int64 // the next operation's _seq_no
	term    int64 // primary term
	live    int
	used    bool     // some document was written, ever
	pending []*entry // changed since the last refresh

	// What searches see: the images by _seq_no, those that died later among them.
	// Images are never changed or moved in place, but for died; so a slice and a
	// generation are a snapshot.
	visible    []*image
	generation uint32 // refreshes so far
	dead       int    // in visible
	shown      int    // live ones in visible

	graves []*entry // deleted documents, oldest first
}

// entry is a document, or the memory of a deleted one.
type entry struct {
	id      string
	now     *image // nil: deleted
	shown   *image // what searches see; nil: nothing
	queued  bool   // in pending
	version int64
	seq     int64
	term    int64
	deleted time.Time
}

// image is one version of a document.
type image struct {
	id, routing string
	source      []byte
	version     int64
	seq, term   int64
	died        uint32 // the generation that no longer shows it; 0: it is shown
}

func newStore() *store { return &store{docs: map[string]*entry{}, term: 1} }

// size is what a document takes on the disk.
func (i *image) size() int64 { return int64(len(i.source) + len(i.id) + len(i.routing) + 40) }

// lookup finds a document, or a deleted one that is still remembered.
func (s *store) lookup(id string, now time.Time, gc time.Duration) *entry {
	e := s.docs[id]
	if e == nil || e.now == nil && now.Sub(e.deleted) > gc {
		return nil
	}
	return e
}

// refresh shows searches what was written.
func (s *store) refresh() {
	if len(s.pending) == 0 {
		return
	}
	s.generation++
	fresh := make([]*image, 0, len(s.pending))
	for _, e := range s.pending {
		e.queued = false
		if e.shown == e.now {
			continue
		}
		if e.shown != nil {
			e.shown.died = s.generation
			s.dead++
			s.shown--
		}
		if e.shown = e.now; e.now != nil {
			fresh = append(fresh, e.now)
			s.shown++
		}
	}
	s.pending = s.pending[:0]
	slices.SortFunc(fresh, func(a, b *image) int { return cmp.Compare(a.seq, b.seq) })
	if s.dead > 1000 && s.dead > len(s.visible)/2 {
		live := make([]*image, 0, s.shown)
		for _, i := range s.visible {
			if i.died == 0 {
				live = append(live, i)
			}
		}
		s.visible, s.dead = live, 0
	}
	s.visible = append(s.visible, fresh...)
}

// changed queues an entry for the next refresh.
func (s *store) changed(e *entry) {
	if !e.queued {
		e.queued = true
		s.pending = append(s.pending, e)
	}
}

// bury remembers a deletion and forgets those older than gc.
func (s *store) bury(e *entry, now time.Time, gc time.Duration) {
	s.graves = append(s.graves, e)
	for len(s.graves) > 0 && now.Sub(s.graves[0].deleted) > gc {
		old := s.graves[0]
		s.graves = s.graves[1:]
		if old.now == nil && now.Sub(old.deleted) > gc && !old.queued && s.docs[old.id] == old {
			delete(s.docs, old.id)
		}
	}
}

// snapshot is what searches see of a store at one moment, for good.
type snapshot struct {
	visible    []*image
	generation uint32
	count      int
}

func (s *store) snapshot() snapshot { return snapshot{s.visible, s.generation, s.shown} }

func (s snapshot) shows(i *image) bool { return i.died == 0 || i.died > s.generation }

// from is the index of the first image whose _seq_no is at least seq.
func (s snapshot) from(seq int64) int {
	at, _ := slices.BinarySearchFunc(s.visible, seq, func(i *image, seq int64) int { return cmp.Compare(i.seq, seq) })
	return at
}

// refreshDue refreshes the index if its interval is over since the first write that
// searches do not see. Every read and every write of documents begins with it, so
// that nothing later than the due refresh is shown.
func (ix *index) refreshDue(now time.Time) {
	if !ix.stale.IsZero() && !now.Before(ix.stale.Add(ix.interval)) {
		ix.refresh()
	}
}

func (ix *index) refresh() {
	for _, s := range ix.stores {
		s.refresh()
	}
	ix.stale = time.Time{}
}

func (ix *index) gc() time.Duration {
	if d, err := parseTime(ix.settings["index.gc_deletes"].text); err == nil {
		return d
	}
	return time.Minute
}

// documents reports whether any document was ever written to the index; without, its
// figures are made up from its bytes.
func (ix *index) documents() bool {
	return slices.ContainsFunc(ix.stores, func(s *store) bool { return s.used })
}

// shardOf is the number of the shard a document belongs to, by the server's own rule.
func (ix *index) shardOf(id, routing string) int {
	if routing == "" {
		routing = id
	}
	n := len(ix.groups)
	if n == 1 {
		return 0
	}
	total := ix.routingShards()
	hash := int(int32(murmur3(utf16Bytes(routing), 0)))
	return ((hash%total + total) % total) / (total / n)
}

// routingShards is index.number_of_routing_shards, or its default.
func (ix *index) routingShards() int {
	n := len(ix.groups)
	if total, err := strconv.Atoi(ix.settings["index.number_of_routing_shards"].text); err == nil && total >= n && total%n == 0 {
		return total
	}
	return n << max(1, 10-bits.Len(uint(n-1)))
}

func utf16Bytes(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

// murmur3 is MurmurHash3_x86_32.
func murmur3(b []byte, seed uint32) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	h, n := seed, len(b)
	for ; len(b) >= 4; b = b[4:] {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		h ^= bits.RotateLeft32(k*c1, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	var k uint32
	for i := len(b) - 1; i >= 0; i-- {
		k = k<<8 | uint32(b[i])
	}
	if len(b) > 0 {
		h ^= bits.RotateLeft32(k*c1, 15) * c2
	}
	h ^= uint32(n)
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// sliceOf reports whether a document of a shard is in slice id of max, by the
// server's rule: whole shards where there are fewer slices, else parts of a shard.
func sliceOf(docID string, shard, shards, id, most int) bool {
	if most < shards {
		return shard%most == id
	}
	if id%shards != shard {
		return false
	}
	parts := most / shards
	if most%shards > shard {
		parts++
	}
	hash := int(int32(murmur3([]byte(docID), 7919)))
	return (hash%parts+parts)%parts == id/shards
}

// grow books bytes that documents take or free on every copy of a shard.
func (ix *index) grow(number int, by int64) {
	ix.bytes[number] += by
	for _, s := range ix.groups[number] {
		if s.node != nil {
			s.node.bytes += by
		}
	}
}

// anID is a new document's id, 20 characters as the server's.
func (c *Cluster) anID() string { return strings.ReplaceAll(c.newID()[:20], "-", "z") }
