package indices

import (
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// Site is one environment's cluster and what the configuration says of its indices.
type Site struct {
	elastic.Cluster
	// Register tells writers and readers which index is which; see es reindex --writes dual.
	Register Register
	// RegisterCache is how old what a reader or writer knows of the register may be;
	// zero: 30 s.
	RegisterCache time.Duration
	// Campaigns is the folder of campaign files; empty: only patterns can be typed.
	Campaigns string
	// LostAfter is how long a shard of a copy without replicas may be away with its node
	// before the copy is made again; zero: 3 minutes.
	LostAfter time.Duration
	partSize  int64 // of copies, for tests; zero: what is usual
	readSize  int64 // identities that a comparison reads at once, for tests; zero: what is usual
	// Hold is how long an index that was replaced is kept; zero: a week.
	Hold time.Duration
}

// Operations are what can be done to indices, keyed by environment.
func Operations(sites map[string]Site) []ops.Operation {
	return []ops.Operation{
		reindex{sites},
		campaign{sites},
		swapBack{sites},
		aliasSwap{sites},
		deleteIndex{sites},
		zoneMove{sites, zoneStall},
	}
}
