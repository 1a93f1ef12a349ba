package elasticsim

import (
	"cmp"
	"slices"
	"time"
)

// Doc is a document as Docs returns it.
type Doc struct {
	ID, Routing    string
	Version, SeqNo int64
	Shard          int
	Source         string
}

// Docs returns the documents of an index or alias as they are now, refreshed or not, by
// id. An index that is not there has none.
func (c *Cluster) Docs(name string) []Doc {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(time.Now())
	indices, f := c.find(name)
	if f != nil {
		return nil
	}
	var out []Doc
	for _, ix := range indices {
		for number, s := range ix.stores {
			for id, e := range s.docs {
				if i := e.now; i != nil {
					out = append(out, Doc{id, i.routing, i.version, i.seq, number, string(i.source)})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Doc) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// PutDoc writes a document as somebody else's request would, and is not among Writes.
// Searches see it after the next refresh.
func (c *Cluster) PutDoc(index, id, source string) error {
	return c.direct(&operation{kind: "index", name: index, id: id, source: []byte(source), ifSeq: -1})
}

// DeleteDoc deletes a document as PutDoc writes one.
func (c *Cluster) DeleteDoc(index, id string) error {
	return c.direct(&operation{kind: "delete", name: index, id: id, ifSeq: -1})
}

func (c *Cluster) direct(op *operation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.settle(now)
	f := c.resolveWrite(op, now)
	if f == nil && !op.index.serving(op.shard) {
		f = unavailable(op.index, op.shard, 0, op.describe())
	}
	if f == nil {
		f = c.write(op, now).failure
	}
	if f != nil {
		return refusal("%s", f.reason)
	}
	return nil
}
