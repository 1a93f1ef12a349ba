package elasticsim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// AddIndex adds an index whose copies are all STARTED at once, dealt over the nodes
// as the deciders allow; a copy that fits nowhere is unassigned. Every shard has
// about bytesPerShard bytes (a tenth more or less, by the seed).
func (c *Cluster) AddIndex(name string, primaries, replicas int, bytesPerShard int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	ix := c.newIndex(name, primaries, replicas, settings{}, now)
	for i := range ix.bytes {
		ix.bytes[i] = bytesPerShard + int64((c.rng.Float64()-0.5)*0.2*float64(bytesPerShard))
	}
	c.spread(ix)
	c.bump()
}

// newIndex registers an index with empty shards; spread gives them nodes.
func (c *Cluster) newIndex(name string, primaries, replicas int, given settings, now time.Time) *index {
	ix := &index{
		name: name, uuid: c.newID(), created: now, settings: given,
		groups: make([][]*shard, primaries), bytes: make([]int64, primaries), mapping: newMapping(), stores: make([]*store, primaries),
	}
	for i := range ix.stores {
		ix.stores[i] = newStore()
	}
	set := func(key, value string) { ix.settings[key] = setting{text: value} }
	set("index.number_of_shards", strconv.Itoa(primaries))
	set("index.number_of_replicas", strconv.Itoa(replicas))
	set("index.provided_name", name)
	set("index.uuid", ix.uuid)
	set("index.creation_date", strconv.FormatInt(now.UnixMilli(), 10))
	set("index.version.created", "8537000")
	if _, ok := given[tierPreference]; !ok {
		set(tierPreference, "data_content")
	}
	ix.read()
	for number := range ix.groups {
		for i := range replicas + 1 {
			s := &shard{index: ix, number: number, primary: i == 0, reason: "INDEX_CREATED", since: now}
			ix.groups[number] = append(ix.groups[number], s)
		}
	}
	c.indices[name] = ix
	at, _ := slices.BinarySearchFunc(c.sorted, name, func(x *index, n string) int { return strings.Compare(x.name, n) })
	c.sorted = slices.Insert(c.sorted, at, ix)
	return ix
}

const tierPreference = "index.routing.allocation.include._tier_preference"

// read takes over what the settings say.
func (ix *index) read() {
	ix.filters = indexFilters(ix.settings)
	ix.tiers = ix.settings[tierPreference].values()
	ix.perNode = -1
	if s, ok := ix.settings["index.routing.allocation.total_shards_per_node"]; ok {
		if n, err := strconv.Atoi(s.text); err == nil {
			ix.perNode = n
		}
	}
	if n, err := strconv.Atoi(ix.settings["index.number_of_replicas"].text); err == nil {
		ix.replicas = n
	}
	ix.interval = time.Second
	if d, err := parseTime(ix.settings["index.refresh_interval"].text); err == nil {
		ix.interval = d
	}
}

// spread starts the index's copies on the lightest nodes that take them.
func (c *Cluster) spread(ix *index) {
	for _, group := range ix.groups {
		for _, s := range group {
			c.counts.add(s, 1)
			n := c.bestTarget(s)
			if n == nil {
				s.state = unassigned
				c.unassigned = append(c.unassigned, s)
				continue
			}
			c.place(s, n)
			c.setState(s, started)
		}
	}
	c.replan, c.balanced = true, false
}

// resize changes the number of replicas.
func (c *Cluster) resize(ix *index, replicas int, now time.Time) {
	for number, group := range ix.groups {
		for len(group) > replicas+1 {
			c.drop(group[len(group)-1])
			group = group[:len(group)-1]
		}
		for len(group) < replicas+1 {
			s := &shard{index: ix, number: number, reason: "REPLICA_ADDED", since: now}
			c.counts.add(s, 1)
			c.unassigned = append(c.unassigned, s)
			group = append(group, s)
		}
		ix.groups[number] = group
	}
	ix.replicas = replicas
}

// drop removes a copy from the cluster.
func (c *Cluster) drop(s *shard) {
	if s.rec != nil {
		c.release(s.rec)
		s.target = nil
	}
	c.take(s)
	c.counts.add(s, -1)
	c.unassigned = slices.DeleteFunc(c.unassigned, func(o *shard) bool { return o == s })
}

func (c *Cluster) remove(ix *index) {
	for _, group := range ix.groups {
		for _, s := range group {
			c.drop(s)
		}
	}
	delete(c.indices, ix.name)
	c.sorted = slices.DeleteFunc(c.sorted, func(o *index) bool { return o == ix })
	c.recompute()
	c.bump()
}
