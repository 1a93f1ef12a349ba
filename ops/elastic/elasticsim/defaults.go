package elasticsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	allocationEnable = "cluster.routing.allocation.enable"
	rebalanceEnable  = "cluster.routing.rebalance.enable"
	awarenessAttrs   = "cluster.routing.allocation.awareness.attributes"
	diskEnabled      = "cluster.routing.allocation.disk.threshold_enabled"
	diskLow          = "cluster.routing.allocation.disk.watermark.low"
	diskHigh         = "cluster.routing.allocation.disk.watermark.high"
	diskFlood        = "cluster.routing.allocation.disk.watermark.flood_stage"
	nodeRecoveries   = "cluster.routing.allocation.node_concurrent_recoveries"
	incomingLimit    = "cluster.routing.allocation.node_concurrent_incoming_recoveries"
	outgoingLimit    = "cluster.routing.allocation.node_concurrent_outgoing_recoveries"
	rebalanceLimit   = "cluster.routing.allocation.cluster_concurrent_rebalance"
	totalPerNode     = "cluster.routing.allocation.total_shards_per_node"
	recoveryMaxBytes = "indices.recovery.max_bytes_per_sec"
	readOnly         = "cluster.blocks.read_only"
)

// clusterDefaults are the dynamic settings the simulator knows, with 8.19's
// defaults. Any other key is refused as not recognized.
var clusterDefaults = map[string]string{
	allocationEnable: "all",
	rebalanceEnable:  "all",
	awarenessAttrs:   "",
	diskEnabled:      "true",
	diskLow:          "85%",
	diskHigh:         "90%",
	diskFlood:        "95%",
	nodeRecoveries:   "2",
	incomingLimit:    "2",
	outgoingLimit:    "2",
	rebalanceLimit:   "2",
	totalPerNode:     "-1",
	recoveryMaxBytes: "40mb",
	"cluster.routing.allocation.allow_rebalance":                                                    "always",
	"cluster.routing.allocation.node_initial_primaries_recoveries":                                  "4",
	"cluster.routing.allocation.same_shard.host":                                                    "false",
	"cluster.routing.allocation.type":                                                               "desired_balance",
	"cluster.routing.allocation.enforce_default_tier_preference":                                    "true",
	"cluster.routing.allocation.balance.disk_usage":                                                 "2.0E-11",
	"cluster.routing.allocation.balance.index":                                                      "0.55",
	"cluster.routing.allocation.balance.shard":                                                      "0.45",
	"cluster.routing.allocation.balance.threshold":                                                  "1.0",
	"cluster.routing.allocation.balance.write_load":                                                 "10.0",
	"cluster.routing.allocation.disk.reroute_interval":                                              "60s",
	"cluster.routing.allocation.disk.watermark.enable_for_single_data_node":                         "true",
	"cluster.routing.allocation.disk.watermark.low.max_headroom":                                    "200GB",
	"cluster.routing.allocation.disk.watermark.high.max_headroom":                                   "150GB",
	"cluster.routing.allocation.disk.watermark.flood_stage.max_headroom":                            "100GB",
	"cluster.routing.allocation.disk.watermark.flood_stage.frozen":                                  "95%",
	"cluster.routing.allocation.disk.watermark.flood_stage.frozen.max_headroom":                     "20GB",
	"cluster.routing.allocation.stats.cache.ttl":                                                    "1m",
	"cluster.routing.allocation.desired_balance.progress_log_interval":                              "1m",
	"cluster.routing.allocation.desired_balance.undesired_allocations.log_interval":                 "1h",
	"cluster.routing.allocation.desired_balance.undesired_allocations.threshold":                    "0.1",
	"cluster.routing.allocation.desired_balance.max_balance_computation_time_during_index_creation": "1s",
	"cluster.routing.use_adaptive_replica_selection":                                                "true",
	"cluster.info.update.interval":                                                                  "30s",
	"cluster.info.update.timeout":                                                                   "15s",
	"cluster.max_shards_per_node":                                                                   "1000",
	"cluster.max_voting_config_exclusions":                                                          "10",
	"cluster.auto_shrink_voting_configuration":                                                      "true",
	"cluster.no_master_block":                                                                       "write",
	readOnly:                                                                                        "false",
	"cluster.blocks.read_only_allow_delete":                                                         "false",
	"cluster.indices.close.enable":                                                                  "true",
	"cluster.persistent_tasks.allocation.enable":                                                    "all",
	"indices.recovery.max_concurrent_file_chunks":                                                   "5",
	"indices.recovery.max_concurrent_operations":                                                    "1",
	"indices.recovery.use_snapshots":                                                                "true",
	"search.default_search_timeout":                                                                 "-1",
	"search.max_buckets":                                                                            "65536",
	"action.auto_create_index":                                                                      "true",
	"action.destructive_requires_name":                                                              "true",
}

var integerSettings = map[string]bool{
	nodeRecoveries: true, incomingLimit: true, outgoingLimit: true, rebalanceLimit: true, totalPerNode: true,
	"cluster.max_shards_per_node": true,
}

// knownSetting reports whether the server has such a dynamic cluster setting.
func knownSetting(key string) bool {
	if _, ok := clusterDefaults[key]; ok {
		return true
	}
	for _, family := range families {
		if attr, ok := strings.CutPrefix(key, clusterFilterPrefix+family+"."); ok && attr != "" {
			return true
		}
	}
	forced := strings.HasPrefix(key, forcedPrefix) && strings.HasSuffix(key, ".values")
	return forced || strings.HasPrefix(key, "cluster.metadata.") || strings.HasPrefix(key, "logger.")
}

// sortedKeys returns a map's keys in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

var byteUnits = []struct {
	suffix string
	factor int64
}{{"pb", 1 << 50}, {"tb", 1 << 40}, {"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}, {"b", 1}}

// parseBytes reads a size like "40mb".
func parseBytes(s string) (int64, error) {
	lower := strings.ToLower(strings.TrimSpace(s))
	for _, u := range byteUnits {
		if num, ok := strings.CutSuffix(lower, u.suffix); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
			if err != nil {
				return 0, err
			}
			return int64(f * float64(u.factor)), nil
		}
	}
	return 0, fmt.Errorf("no unit in %q", s)
}

// formatBytes writes a size as the server does: one decimal, cut off, in the largest unit.
func formatBytes(n int64) string {
	for _, u := range byteUnits {
		if n >= u.factor && u.factor > 1 {
			tenths := n * 10 / u.factor
			if tenths%10 == 0 {
				return strconv.FormatInt(tenths/10, 10) + u.suffix
			}
			return fmt.Sprintf("%d.%d%s", tenths/10, tenths%10, u.suffix)
		}
	}
	return strconv.FormatInt(n, 10) + "b"
}
