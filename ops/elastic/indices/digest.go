package indices

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
)

// digest is what two sets of documents are compared by: for each of a number of buckets,
// chosen by id, how many documents it holds and the sum of a hash of each. The order in
// which documents are added does not matter, so indices with other shards compare, and
// two digests differ just in the buckets whose documents differ.
type digest struct {
	buckets []bucket
}

type bucket struct {
	n         uint32
	high, low uint64
}

const bucketBytes = 20

// newDigest makes a digest fit for about so many documents.
func newDigest(docs int64) digest {
	n := 64
	for int64(n)*128 < docs && n < 1<<15 {
		n *= 2
	}
	return digest{make([]bucket, n)}
}

// bucketOf is the bucket of an id.
func (d digest) bucketOf(id string) int {
	h := fnv.New64a()
	h.Write([]byte(id))
	return int(h.Sum64() % uint64(len(d.buckets)))
}

// add counts a document. versions says whether its version has to be the same.
func (d digest) add(doc document, version int64, versions bool) {
	var b []byte
	b = binary.AppendUvarint(b, uint64(len(doc.ID)))
	b = append(b, doc.ID...)
	b = binary.AppendUvarint(b, uint64(len(doc.Routing)))
	b = append(b, doc.Routing...)
	if versions {
		b = binary.AppendVarint(b, version)
	}
	sum := sha256.Sum256(b)
	at := &d.buckets[d.bucketOf(doc.ID)]
	at.n++
	low := at.low + binary.LittleEndian.Uint64(sum[8:16])
	if low < at.low {
		at.high++
	}
	at.low, at.high = low, at.high+binary.LittleEndian.Uint64(sum[:8])
}

// merge adds another digest of the same number of buckets.
func (d digest) merge(o digest) {
	for i, b := range o.buckets {
		at := &d.buckets[i]
		at.n += b.n
		low := at.low + b.low
		if low < at.low {
			at.high++
		}
		at.low, at.high = low, at.high+b.high
	}
}

// docs counts the documents.
func (d digest) docs() int64 {
	n := int64(0)
	for _, b := range d.buckets {
		n += int64(b.n)
	}
	return n
}

// differ lists the buckets that are not the same in both.
func (d digest) differ(o digest) []int {
	var list []int
	for i, b := range d.buckets {
		if b != o.buckets[i] {
			list = append(list, i)
		}
	}
	return list
}

// MarshalJSON writes the buckets as base64.
func (d digest) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, len(d.buckets)*bucketBytes)
	for _, k := range d.buckets {
		b = binary.LittleEndian.AppendUint32(b, k.n)
		b = binary.LittleEndian.AppendUint64(b, k.high)
		b = binary.LittleEndian.AppendUint64(b, k.low)
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(b))
}

// UnmarshalJSON reads them.
func (d *digest) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b)%bucketBytes != 0 {
		return fmt.Errorf("digest: unreadable")
	}
	d.buckets = make([]bucket, len(b)/bucketBytes)
	for i := range d.buckets {
		k := b[i*bucketBytes:]
		d.buckets[i] = bucket{binary.LittleEndian.Uint32(k), binary.LittleEndian.Uint64(k[4:]), binary.LittleEndian.Uint64(k[12:])}
	}
	return nil
}
