package elastic

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"twokey/ops"
)

// describe fills in what the card shows and what may not get worse; none of it is part
// of the digest.
func (s *survey) describe(p *ops.Plan) {
	bytes, shards := int64(0), 0
	for _, h := range s.held {
		bytes += h.Bytes
		shards += h.shards()
	}
	p.Effect = fmt.Sprintf("moves %d shards (%s) off %s", shards, Bytes(bytes), names(s.targets))
	p.Estimate = s.alloc.Estimate(bytes)
	p.Facts = s.facts()
	show := func(label, format string, args ...any) {
		p.Shown = append(p.Shown, ops.Line{Label: label, Text: fmt.Sprintf(format, args...)})
	}
	show("Cluster", "%s, %s, master %s", s.top.Name, s.health.Status, s.top.NameOf(s.top.Master))
	for _, t := range s.targets {
		n, _ := s.top.byID(t.ID)
		text := fmt.Sprintf("%d shards, %s; %s", s.held[t.ID].shards(), Bytes(s.held[t.ID].Bytes), roles(n))
		if z := s.zone(n); z != "" {
			text += "; zone " + z
		}
		show(t.Name, "%s", text)
		if t.Key == "_id" {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s is excluded by its id %s, because its name would be read as a pattern or stands for several nodes.", t.Name, t.ID))
		}
	}
	show("Homes", "%s", s.homes())
	show("Room", "%s", s.room(bytes, p))
	show("Single copies", "%s", s.singles())
	show("Allocation", "enable %s, rebalance %s", s.alloc.Get("allocation.enable"), s.alloc.Get("rebalance.enable"))
	show("Filters", "%s", s.filtersShown())
	s.warn(p)
}

func (s *survey) warn(p *ops.Plan) {
	for _, b := range s.stuck {
		p.Warnings = append(p.Warnings, b.text(staying(s.top, s.leaving)))
	}
	if v := s.alloc.Get("allocation.enable"); v != "all" {
		p.Warnings = append(p.Warnings, fmt.Sprintf("cluster.routing.allocation.enable is %s: replicas do not move.", v))
	}
	if set := s.alloc.family(exclude); s.known {
		for _, key := range s.effect.broken(exclude, set, s.top.Nodes) {
			p.Warnings = append(p.Warnings, fmt.Sprintf("exclude.%s is set but not in effect now; this run puts it back into effect.", key))
		}
	}
	p.Warnings = append(p.Warnings, repeats(s.alloc.family(exclude))...)
	if s.leaving[s.top.Master] {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is the elected master.", s.top.NameOf(s.top.Master)))
	}
}

// repeats warns of filters of others that name a value twice at their end. That is how a
// run writes them between two updates, so a write of a run that was over when it arrived
// leaves them so; nobody can tell from the text alone, hence it is not changed.
func repeats(t texts) []string {
	var list []string
	for _, s := range sortedSlots(t) {
		if s.Key != "_name" && s.Key != "_id" && respelled(t[s], t[s]) {
			list = append(list, fmt.Sprintf("%s names a value twice. It has the same effect, but a write of Twokey that arrived late may have left it so; its owner may want %s.",
				s.show(t), join(unique(Tokens(t[s])))))
		}
	}
	return list
}

// Estimate is how long a node takes to send or receive bytes: at the recovery limit for
// the quickest, at a quarter of it for the slowest.
func (a Allocation) Estimate(bytes int64) ops.Estimate {
	limit := int64(0)
	for _, m := range []map[string]string{a.Transient, a.Persistent, a.Defaults} {
		if v, ok := m["indices.recovery.max_bytes_per_sec"]; ok && limit == 0 {
			limit, _ = parseBytes(v) // unreadable or -1: no estimate
		}
	}
	if limit <= 0 {
		return ops.Estimate{}
	}
	low := time.Duration(float64(bytes) / float64(limit) * float64(time.Second))
	return ops.Estimate{
		Low: max(low, 5*time.Second).Round(time.Second), High: max(4*low, time.Minute).Round(time.Second),
		Basis: fmt.Sprintf("at %s/s down to a quarter of it", Bytes(limit)),
	}
}

// roles are the roles that matter for a drain.
func roles(n Node) string {
	list := []string{"data"}
	if n.masterEligible() {
		list = append(list, "master-eligible")
	}
	return strings.Join(list, ", ")
}

// zone is the node's value of the attribute that zones are told by: the first awareness
// attribute, or else "zone".
func (s *survey) zone(n Node) string { return n.Attributes[s.zoneKey()] }

func (s *survey) zoneKey() string {
	if list := Tokens(s.alloc.Get("allocation.awareness.attributes")); len(list) > 0 {
		return list[0]
	}
	return "zone"
}

func (s *survey) homes() string {
	if s.copies == 0 {
		return "no shard to move"
	}
	none := 0
	for _, b := range s.stuck {
		none += 1 + b.More
	}
	text := fmt.Sprintf("%d of the %d shards looked at have a node to go to", s.looked-none, s.looked)
	if s.looked < s.copies {
		text += fmt.Sprintf(" (%d in all)", s.copies)
	}
	return text
}

// room shows the free space below the low watermark by zone, and warns if all of it
// together is too little.
func (s *survey) room(bytes int64, p *ops.Plan) string {
	w, err := LowWatermark(s.alloc)
	if err != nil {
		return "unknown: " + err.Error()
	}
	free, unknown, sum := map[string]int64{}, 0, int64(0)
	for _, n := range s.top.Nodes {
		if !n.Data() || s.leaving[n.ID] {
			continue
		}
		d, have := s.disks[n.Name]
		room, ok := w.Room(d)
		if !have || !ok {
			unknown++
			continue
		}
		free[s.zone(n)] += room
		sum += room
	}
	var list []string
	for _, z := range slices.Sorted(maps.Keys(free)) {
		name := "zone " + z
		if z == "" {
			name = "no zone"
		}
		list = append(list, fmt.Sprintf("%s %s", name, Bytes(free[z])))
	}
	if unknown > 0 {
		list = append(list, fmt.Sprintf("%d nodes unknown", unknown))
	} else if sum < bytes {
		p.Warnings = append(p.Warnings, fmt.Sprintf("The other nodes have %s below the low watermark, less than the %s to move.", Bytes(sum), Bytes(bytes)))
	}
	kind := "to the low watermark"
	if w.Off {
		kind = "free; watermarks are switched off"
	}
	return strings.Join(list, ", ") + " " + kind
}

// singles names the indices with shards on the targets that have no other copy.
func (s *survey) singles() string {
	count := map[string]int{}
	for _, c := range s.single {
		count[c.Index]++
	}
	if len(count) == 0 {
		return "none"
	}
	var list []string
	for _, index := range slices.Sorted(maps.Keys(count)) {
		if len(list) == 10 {
			list = append(list, fmt.Sprintf("%d more indices", len(count)-10))
			break
		}
		list = append(list, fmt.Sprintf("%s (%d)", index, count[index]))
	}
	return strings.Join(list, ", ")
}

// filtersShown lists all filters, and the nodes that each keeps empty.
func (s *survey) filtersShown() string {
	var list []string
	for _, family := range []string{exclude, include, require} {
		set := s.alloc.family(family)
		if len(set) == 0 {
			continue
		}
		var off []string
		for _, n := range s.top.Nodes {
			if n.Data() && turnsAway(family, set, n) {
				off = append(off, n.Name)
			}
		}
		text := s.alloc.show(family) + " (keeps shards off no node)"
		if len(off) > 0 {
			text = fmt.Sprintf("%s (keeps shards off %s)", s.alloc.show(family), And(off))
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, "; ")
}
