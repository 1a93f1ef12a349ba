package indices

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestShardsFor(t *testing.T) {
	for docs, want := range map[int64]int{
		0: 1, 1: 1, 4_999_999: 1, 5_000_000: 1, 5_000_001: 2, 9_999_999: 2, 10_000_000: 3, 10_000_001: 3, 14_999_999: 3, 15_000_000: 4,
	} {
		if got := shardsFor(docs); got != want {
			t.Errorf("%d documents: %d shards, want %d", docs, got, want)
		}
	}
}

// anyDocuments are documents with different ids.
func anyDocuments() *rapid.Generator[[]document] {
	one := rapid.Custom(func(t *rapid.T) document {
		return document{ID: rapid.StringN(1, 6, -1).Draw(t, "id"), Routing: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "routing"),
			Version: rapid.Int64Range(1, 1<<40).Draw(t, "version")}
	})
	return rapid.SliceOfNDistinct(one, 0, 300, func(d document) string { return d.ID })
}

func digestOf(buckets int64, docs []document, versions bool) digest {
	d := newDigest(buckets)
	for _, doc := range docs {
		d.add(doc, doc.Version, versions)
	}
	return d
}

// The order does not matter, nor in how many parts they were added; and what was changed,
// added or taken away is in a bucket that differs, and nothing else is.
func TestDigests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		docs := anyDocuments().Draw(t, "docs")
		size := rapid.SampledFrom([]int64{0, 10_000, 50_000}).Draw(t, "size")
		d := digestOf(size, docs, true)
		if d.docs() != int64(len(docs)) {
			t.Fatalf("%d documents, %d counted", len(docs), d.docs())
		}

		mixed := slices.Clone(docs)
		r := rand.New(rand.NewPCG(uint64(len(docs)), 1))
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		at := rapid.IntRange(0, len(mixed)).Draw(t, "at")
		merged := digestOf(size, mixed[:at], true)
		merged.merge(digestOf(size, mixed[at:], true))
		if list := d.differ(merged); len(list) > 0 {
			t.Fatalf("the same documents differ in %v", list)
		}

		raw, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back digest
		if err := json.Unmarshal(raw, &back); err != nil || len(d.differ(back)) > 0 || len(back.buckets) != len(d.buckets) {
			t.Fatalf("another digest after JSON: %v", err)
		}

		other := slices.Clone(docs)
		want := map[int]bool{}
		for i := range other {
			switch rapid.IntRange(0, 20).Draw(t, "change") {
			case 0:
				other[i].Version++
			case 1:
				other[i].Routing += "x"
			case 2:
				other[i].ID += " made again"
				want[d.bucketOf(other[i].ID)] = true
			default:
				continue
			}
			want[d.bucketOf(docs[i].ID)] = true
		}
		if got := d.differ(digestOf(size, other, true)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("differ in %v, changed were %v", got, want)
		}
	})
}

func TestDigestWithoutVersions(t *testing.T) {
	a := digestOf(0, []document{{ID: "a", Version: 1}, {ID: "b", Version: 2}}, false)
	b := digestOf(0, []document{{ID: "b", Version: 7}, {ID: "a", Version: 3}}, false)
	if list := a.differ(b); len(list) > 0 {
		t.Errorf("versions count: %v", list)
	}
	// A pair of id and routing is not another pair with the same letters.
	c := digestOf(0, []document{{ID: "ab", Routing: "c"}}, false)
	d := digestOf(0, []document{{ID: "ab", Routing: "c"}, {ID: "a", Routing: "bc"}}, false)
	if list := c.differ(d); len(list) != 1 {
		t.Errorf("differ in %v", list)
	}
	for text, ok := range map[string]bool{`""`: true, `"AAAA"`: false, `"?"`: false, `3`: false} {
		if err := json.Unmarshal([]byte(text), new(digest)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	for docs, want := range map[int64]int{0: 64, 8192: 64, 8193: 128, 1 << 40: 1 << 15} {
		if got := len(newDigest(docs).buckets); got != want {
			t.Errorf("%d documents: %d buckets, want %d", docs, got, want)
		}
	}
}

// Every operation after those known is in exactly one part.
func TestSweepCoversAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := positions{Latest: map[int]int64{}, Durable: map[int]int64{}}
		since := map[int]int64{}
		for shard := range rapid.IntRange(1, 7).Draw(t, "shards") {
			now.Latest[shard] = rapid.Int64Range(-1, 400).Draw(t, "latest")
			now.Durable[shard] = now.Latest[shard]
			if rapid.Bool().Draw(t, "known") {
				since[shard] = rapid.Int64Range(-1, now.Latest[shard]).Draw(t, "since")
			}
		}
		server := rapid.Bool().Draw(t, "server")
		s := newSweep(1, newer, server, since, now, rapid.Int64Range(0, 150).Draw(t, "at least")) // 0: what is usual
		if len(s.Queue) > maxParts+len(now.Latest) || s.Parts != len(s.Queue) {
			t.Fatalf("%d parts, %d counted", len(s.Queue), s.Parts)
		}
		for shard, last := range now.Latest {
			for op := after(since, shard); op <= last; op++ {
				in := 0
				for _, p := range s.Queue {
					if p.Shard == shard && p.From <= op && op <= p.To {
						in++
					}
				}
				if in != 1 {
					t.Fatalf("operation %d of shard %d is in %d parts of %+v", op, shard, in, s.Queue)
				}
			}
		}
		for _, p := range s.Queue {
			if p.From > p.To || p.At != p.From || p.Server != server {
				t.Fatalf("part %+v", p)
			}
			if p.From <= since[p.Shard] && since[p.Shard] > 0 || p.To > now.Latest[p.Shard] {
				t.Fatalf("part %+v is outside", p)
			}
		}
	})
}

func TestSweepOfSevenParts(t *testing.T) {
	now := positions{Latest: map[int]int64{0: 16_666, 1: 16_601, 2: 16_733}, Durable: map[int]int64{0: 16_600, 1: 16_601, 2: 16_733}}
	s := newSweep(3, newer, true, nil, now, 8_340)
	if s.Parts != 7 || s.Queue[6].To != 16_733 || s.No != 3 {
		t.Errorf("%+v", s.Queue)
	}
	for i, p := range s.Queue[:3] {
		if p.Shard != i || p.From != 0 {
			t.Errorf("part %d is not the first of shard %d: %+v", i, i, p)
		}
	}
	if s.Next[0] != 16_600 || s.To[0] != 16_666 {
		t.Errorf("next %v, to %v", s.Next, s.To)
	}
	if s := newSweep(3, newer, true, nil, now, 0); s.Parts != 3 || s.Queue[2].Shard != 2 || s.Queue[2].To != 16_733 {
		t.Errorf("parts that are shards: %+v", s.Queue)
	}
	far := positions{Latest: map[int]int64{0: 11_000_000, 1: 3}}
	if s := newSweep(3, newer, true, nil, far, 0); s.Parts != 4 {
		t.Errorf("large shards: %+v", s.Queue)
	}
	if s := newSweep(1, newer, true, nil, positions{Latest: map[int]int64{0: 99_999}}, 0); s.Parts != 4 {
		t.Errorf("one shard: %+v", s.Queue)
	}
	if s := newSweep(1, newer, true, now.Latest, now, 2400); s.Parts != 0 {
		t.Errorf("%+v", s.Queue)
	}
	if s := newSweep(1, newer, false, now.Latest, now, 2400); s.Parts != 0 {
		t.Errorf("%+v", s.Queue)
	}
	if s := newSweep(1, newer, false, nil, positions{Latest: map[int]int64{0: 10_000_000, 1: 5}}, 1); s.Parts != maxParts/2+6 {
		t.Errorf("%d parts", s.Parts)
	}
}

func TestPortable(t *testing.T) {
	keep, dropped := portable(index{Settings: map[string]string{
		"index.uuid": "u", "index.creation_date": "1", "index.provided_name": "v1", "index.number_of_shards": "3", "index.version.created": "8", "index.history.uuid": "h",
		"index.number_of_replicas": "1", "index.refresh_interval": "5s", "index.default_pipeline": "p",
		"index.analysis.analyzer.a.type": "standard", "index.mapping.total_fields.limit": "2000", "index.codec": "best_compression",
		"index.routing.allocation.include._tier_preference": "data_hot", "index.sort.field": "at",
		"index.routing.allocation.include.zone": "a", "index.routing.rebalance.enable": "none",
		"index.blocks.write": "true", "index.lifecycle.name": "p", "index.routing_partition_size": "2", "index.number_of_routing_shards": "12",
		"index.resize.source.name": "v0", "index.xpack.ccr.following_index": "true", "index.search.throttled": "true", "index.routing.allocation.initial_recovery._id": "x",
	}})
	if got, want := slices.Sorted(maps.Keys(keep)), []string{"index.analysis.analyzer.a.type", "index.codec", "index.mapping.total_fields.limit",
		"index.routing.allocation.include._tier_preference", "index.sort.field"}; !slices.Equal(got, want) {
		t.Errorf("kept %v", got)
	}
	if got, want := slices.Sorted(maps.Keys(dropped)), []string{"index.blocks.write", "index.lifecycle.name", "index.number_of_routing_shards", "index.resize.source.name",
		"index.routing.allocation.include.zone", "index.routing.allocation.initial_recovery._id", "index.routing.rebalance.enable", "index.routing_partition_size",
		"index.search.throttled", "index.xpack.ccr.following_index"}; !slices.Equal(got, want) {
		t.Errorf("dropped %v", got)
	}
}

func TestMappingDiff(t *testing.T) {
	parse := func(text string) map[string]any {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	src := parse(`{"properties":{"a":{"type":"keyword"},"n":{"type":"text"},"o":{"properties":{"x":{"type":"long"}}}}}`)
	for dst, want := range map[string]string{
		`{"properties":{"a":{"type":"keyword"},"n":{"type":"text"},"o":{"properties":{"x":{"type":"long"}}}}}`:              "the same 4 fields",
		`{"properties":{"a":{"type":"keyword"},"n":{"type":"long"},"b":{"type":"date"}}}`:                                   "changed: n text → long; new: b date; mapped when first seen: o and o.x",
		`{"dynamic":"strict","properties":{"a":{"type":"keyword"},"n":{"type":"text"}}}`:                                    "refused: o and o.x",
		`{"dynamic":false,"properties":{"a":{"type":"keyword"},"n":{"type":"text"},"o":{"properties":{"y":{"type":"x"}}}}}`: "new: o.y x; kept, not searchable: o.x",
		`{"dynamic":"runtime"}`: "at run time: a, n, o and o.x",
	} {
		if got := mappingDiff(src, parse(dst)); got != want {
			t.Errorf("%s:\n%s, want\n%s", dst, got, want)
		}
	}
}

func TestAutoCreateAllows(t *testing.T) {
	for _, tt := range []struct {
		auto, name string
		want       bool
	}{
		{"true", "x", true}, {"", "x", true}, {"false", "x", false}, {"v1_*", "v1_a", true}, {"v1_*", "v2_a", false},
		{"+v*,-*", "v2", true}, {"-v2*,+v*", "v2_1", false}, {"-v2*,+v*", "v1_1", true}, {`["-v2*","+v*"]`, "v2_1", false}, {`["-v2*", "+v*"]`, "v1_1", true},
		{"v1_*, v2_*", "v2_x", true}, {"-*", "a", false},
	} {
		if got := allowed(tt.auto, tt.name); got != tt.want {
			t.Errorf("%q allows %s: %v", tt.auto, tt.name, got)
		}
	}
}

func TestStarOf(t *testing.T) {
	for _, tt := range []struct {
		pattern, name, part string
		ok                  bool
	}{
		{"v1_*", "v1_a", "a", true}, {"v1_*", "v1_", "", true}, {"v1_*", "v2_a", "", false}, {"*_v1", "a_v1", "a", true}, {"a*a", "a", "", false}, {"a*a", "aa", "", true}, {"*", "x", "x", true},
		{"v1_*_x", "v1_b_c_x", "b_c", true},
	} {
		if part, ok := starOf(tt.pattern, tt.name); part != tt.part || ok != tt.ok {
			t.Errorf("%s of %s: %q, %v", tt.pattern, tt.name, part, ok)
		}
	}
}

func TestFieldOf(t *testing.T) {
	for reason, want := range map[string]string{
		"[1:14] failed to parse field [n] of type [long] in document with id 'a'. Preview of field's value: 'x': For input string: \"x\"": "n",
		"failed to parse field [o.at] of type [date] in document with id 'b'":                                                             "o.at",
		"[1:2] mapping set to strict, dynamic introduction of [extra] within [_doc] is not allowed":                                       "extra",
		"[1:2] mapping set to strict, dynamic introduction of [y] within [o] is not allowed":                                              "y",
		`Document contains at least one immense term in field="word" (whose UTF8 encoding is longer than the max length 32766)`:           "word",
		"[1:6] object mapping for [o] tried to parse field [o] as object, but found a concrete value":                                     "o",
		"mapper [n] cannot be changed from type [long] to [text]":                                                                         "n",
		"something else": "", "field [": "", "field []": "",
	} {
		if got := fieldOf(reason); got != want {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
}

// What quotable lets pass, the bulk indexer sends so that JSON reads it back as it was.
func TestQuotable(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "a": true, "a b/c?d#e%f": true, `"quoted"`: true, `back\slash`: true, "ümläut": true, "日本": true, "tab\t": true, "line\n": true,
		"\x00": false, "\x01": false, "\x7f": false, "😀": true, "\u200b": true, "\a": false, "\v": false, "\xff": false, "\U000e0001": false, "\u0085": true, "\u2028": true, "\ufeff": true,
	} {
		if got := quotable(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var back string
		if quotable(s) && (json.Unmarshal(fmt.Appendf(nil, "%q", s), &back) != nil || back != s) {
			t.Fatalf("%q passes and is %q", s, back)
		}
	})
}

func TestOneLine(t *testing.T) {
	for source, want := range map[string]string{
		`{"a": 1}`: `{"a": 1}`,
		"{\n  \"a\": 1.10,\r\n \"b\": \"x\\ny\"}": `{"a":1.10,"b":"x\ny"}`,
		"{\r}": "{}",
		"{\n":  "{\n", // not JSON: as it is
	} {
		if got := string(oneLine(json.RawMessage(source))); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}

func TestValidNames(t *testing.T) {
	for name, want := range map[string]bool{
		"v2": true, "v2-x_1.y": true, "": false, "-a": false, "_a": false, "+a": false, ".a": false, "A": false, "a b": false, "a*": false, "a,b": false, "a#": false, "a:b": false,
		strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if err := validName(name); (err == nil) != want {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func TestSameJSON(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":[1,2]}`, `{ "b": [1, 2], "a": 1 }`, true}, {`{"a":1}`, `{"a":1.0}`, false}, {`{"a":12345678901234567890}`, `{"a":12345678901234567891}`, false},
		{`{"b":[2,1]}`, `{"b":[1,2]}`, false}, {`not`, `not`, true}, {`not`, `{}`, false},
	} {
		if got := sameJSON([]byte(tt.a), []byte(tt.b)); got != tt.want {
			t.Errorf("%s and %s: %v", tt.a, tt.b, got)
		}
	}
}

func TestRefuseRemembersEachOnce(t *testing.T) {
	j := job{state: &state{}}
	j.refuse([]refusal{{ID: "a", Reason: "1"}, {ID: "b", Reason: "1"}, {ID: "a", Reason: "2"}}, nil)
	j.refuse([]refusal{{ID: "b", Reason: "3"}, {ID: "c", Reason: "1"}}, []string{"a", "x"})
	if d := cmp.Diff([]refusal{{ID: "b", Reason: "3"}, {ID: "c", Reason: "1"}}, j.Refused); d != "" {
		t.Error(d)
	}
}
