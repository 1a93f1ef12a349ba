package opsredis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"twokey/ops"
)

// The scripts; each file says its KEYS and ARGV.
var (
	//go:embed lua/prelude.lua
	prelude string
	//go:embed lua/create.lua
	createLua string
	//go:embed lua/claim.lua
	claimLua string
	//go:embed lua/renew.lua
	renewLua string
	//go:embed lua/fence.lua
	fenceLua string
	//go:embed lua/put.lua
	putLua string
	//go:embed lua/putparts.lua
	putPartsLua string
	//go:embed lua/parts.lua
	partsLua string
	//go:embed lua/turn.lua
	turnLua string
	//go:embed lua/dials.lua
	dialsLua string
	//go:embed lua/lock.lua
	lockLua string
	//go:embed lua/release.lua
	releaseLua string
	//go:embed lua/flag.lua
	flagLua string
	//go:embed lua/overdue.lua
	overdueLua string
	//go:embed lua/changed.lua
	changedLua string
	//go:embed lua/settle.lua
	settleLua string

	scriptCreate   = redis.NewScript(prelude + createLua)
	scriptClaim    = redis.NewScript(prelude + claimLua)
	scriptRenew    = redis.NewScript(prelude + renewLua)
	scriptFence    = redis.NewScript(prelude + fenceLua)
	scriptPut      = redis.NewScript(prelude + putLua)
	scriptPutParts = redis.NewScript(prelude + putPartsLua)
	scriptParts    = redis.NewScript(prelude + partsLua)
	scriptTurn     = redis.NewScript(prelude + turnLua)
	scriptDials    = redis.NewScript(prelude + dialsLua)
	scriptLock     = redis.NewScript(prelude + lockLua)
	scriptRelease  = redis.NewScript(prelude + releaseLua)
	scriptFlag     = redis.NewScript(prelude + flagLua)
	scriptOverdue  = redis.NewScript(prelude + overdueLua)
	scriptChanged  = redis.NewScript(prelude + changedLua)
	scriptSettle   = redis.NewScript(prelude + settleLua)
)

// errHeld is the script's word that a lock is another's; its answer says whose.
var errHeld = errors.New("held")

// verdicts are the first words scripts answer instead of OK.
var verdicts = map[string]error{
	"NOTFOUND": ops.ErrNotFound,
	"ENDED":    ops.ErrEnded,
	"STALE":    ops.ErrStale,
	"BUSY":     ops.ErrBusy,
	"FENCED":   ops.ErrFenced,
	"EXISTS":   errExists,
	"HELD":     errHeld,
}

var errExists = errors.New("exists")

// run runs a script that answers a verdict and values; it returns the values, and the
// verdict as an error.
func run(ctx context.Context, c redis.Scripter, s *redis.Script, what string, keys []string, args ...any) ([]string, error) {
	out, err := s.Run(ctx, c, keys, args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: empty answer", what)
	}
	if out[0] == "OK" {
		return out[1:], nil
	}
	if err, ok := verdicts[out[0]]; ok {
		return out[1:], err
	}
	return nil, fmt.Errorf("%s: unknown answer %q", what, out[0])
}

// newNonce is a text no other call has.
func newNonce() string { return rand.Text() }
