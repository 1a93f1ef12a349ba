package registerredis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/elastic/indices"
)

//go:embed put.lua
var putLua string

var scriptPut = redis.NewScript(putLua)

// keepNonce is longer than a client goes on repeating one call.
const keepNonce = 10 * time.Minute

// Register is an indices.Register over Redis. It has no state of its own: any number of
// them may share one server and prefix.
type Register struct {
	c      redis.UniversalClient
	prefix string
}

var _ indices.Register = (*Register)(nil)

// New returns the register whose keys begin with prefix in braces, so that all are in one
// slot: "twokey:register:prod". The client stays the caller's to close.
func New(c redis.UniversalClient, prefix string) *Register {
	return &Register{c, "{" + prefix + "}:"}
}

// entryKey is a hash: active, write (JSON array of texts), version (a whole number, from 1
// on), by (nonce of the put that wrote it; absent if people did).
func (r *Register) entryKey(name string) string { return r.prefix + "entry:" + name }

// nonceKey is a string: what the put with this nonce answered.
func (r *Register) nonceKey(nonce string) string { return r.prefix + "nonce:" + nonce }

// Get implements indices.Register.
func (r *Register) Get(ctx context.Context, name string) (indices.Entry, error) {
	if err := indices.CheckRegisterName(name); err != nil {
		return indices.Entry{}, err
	}
	values, err := r.c.HMGet(ctx, r.entryKey(name), "active", "write", "version", "by").Result()
	if err != nil {
		return indices.Entry{}, fmt.Errorf("read the register's entry %s: %w", name, err)
	}
	var fields [4]string
	none := true
	for i, v := range values {
		if s, ok := v.(string); ok {
			fields[i], none = s, false
		}
	}
	if none {
		return indices.Entry{}, nil
	}
	e := indices.Entry{Active: fields[0], Version: version(fields[2], fields[3])}
	_, err = strconv.ParseUint(fields[2], 10, 63)
	if err == nil {
		err = json.Unmarshal([]byte(fields[1]), &e.Write)
	}
	if err != nil || e.Write == nil {
		return indices.Entry{}, &ops.UserError{
			What: fmt.Sprintf("The register's entry of %s cannot be read: it needs a version, and in write a JSON list of names.", name),
			Next: fmt.Sprintf("Somebody wrote it by hand. Correct it in Redis: HGETALL %q.", r.entryKey(name)), Err: err,
		}
	}
	return e, nil
}

// Put implements indices.Register.
func (r *Register) Put(ctx context.Context, name string, e indices.Entry) (indices.Entry, error) {
	if err := indices.CheckRegisterName(name); err != nil {
		return indices.Entry{}, err
	}
	if e.Write == nil {
		e.Write = []string{} // null is no list
	}
	write, err := json.Marshal(e.Write)
	if err != nil {
		panic(err) // texts always encode
	}
	if err := ops.Held(ctx); err != nil {
		return indices.Entry{}, err
	}
	nonce := rand.Text()
	number, err := scriptPut.Run(ctx, r.c, []string{r.entryKey(name), r.nonceKey(nonce)},
		e.Version, nonce, e.Active, write, keepNonce.Milliseconds()).Text()
	switch {
	case err != nil:
		return indices.Entry{}, fmt.Errorf("write the register's entry %s: %w", name, err)
	case number == "":
		return indices.Entry{}, indices.ErrRegisterChanged
	}
	e.Version = version(number, nonce)
	return e, nil
}

// version tells two writes of one number apart: Redis that lost its newest writes hands
// the number out again.
func version(number, by string) string { return number + "-" + by }
