package elastic

import (
	"fmt"
	"maps"
	"slices"

	"twokey/ops"
)

// Keys of material facts.
const (
	factHealth = "health"
	FactNode   = "node:"   // and its name: every node not drained
	factZone   = "zone:"   // and its value: every zone with a data node not drained
	factSingle = "single:" // and an index
	factFilter = "filter:" // and a family, and a node it keeps shards off
)

// maxSingleFacts bounds the facts about single copies; the others are counted in one.
const maxSingleFacts = 200

// facts are what must not be worse when the run starts: health, nodes, zones, shards
// without another copy, filters of others in the way.
func (s *survey) facts() []ops.Fact {
	facts := []ops.Fact{{Key: factHealth, Text: "health is " + s.health.Status, Level: Level(s.health.Status)}}
	zones := map[string]bool{}
	for _, n := range s.top.Nodes {
		if s.leaving[n.ID] {
			continue
		}
		facts = append(facts, ops.Fact{Key: FactNode + n.Name, Text: n.Name + " is in the cluster", Gone: n.Name + " left the cluster", Level: -1})
		if z := s.zone(n); n.Data() && z != "" {
			zones[z] = true
		}
	}
	for _, z := range slices.Sorted(maps.Keys(zones)) {
		facts = append(facts, ops.Fact{Key: factZone + z, Text: fmt.Sprintf("zone %s has a data node", z),
			Gone: fmt.Sprintf("zone %s has no data node left", z), Level: -1})
	}
	facts = append(facts, s.singleFacts()...)
	return append(facts, s.filterFacts()...)
}

func (s *survey) singleFacts() []ops.Fact {
	count := map[string]int64{}
	for _, c := range s.single {
		count[c.Index]++
	}
	var facts []ops.Fact
	rest := int64(0)
	for _, index := range slices.Sorted(maps.Keys(count)) {
		if len(facts) == maxSingleFacts {
			rest += count[index]
			continue
		}
		facts = append(facts, ops.Fact{Key: factSingle + index, Level: count[index],
			Text: fmt.Sprintf("%s has %s without another copy on %s", index, Plural(count[index], "shard"), names(s.targets))})
	}
	if rest > 0 {
		facts = append(facts, ops.Fact{Key: factSingle, Level: rest,
			Text: fmt.Sprintf("%s of further indices without another copy on %s", Plural(rest, "shard"), names(s.targets))})
	}
	return facts
}

// filterFacts are the filters that keep shards off nodes not drained, one for each
// family and node.
func (s *survey) filterFacts() []ops.Fact {
	var facts []ops.Fact
	for _, family := range []string{exclude, include, require} {
		set := s.alloc.family(family)
		for _, n := range s.top.Nodes {
			if n.Data() && !s.leaving[n.ID] && turnsAway(family, set, n) {
				facts = append(facts, ops.Fact{Key: factFilter + family + ":" + n.Name, Level: 1,
					Text: fmt.Sprintf("%s keeps shards off %s", s.alloc.show(family), n.Name)})
			}
		}
	}
	return facts
}

// plural counts things: "1 shard", "7 shards".
func Plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
