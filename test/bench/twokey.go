package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/elastic/indices"
	"twokey/ops/opsredis"
)

// twokey is the bot without Slack: the engine that carries out approved runs, put together
// as cmd/twokey does it.
type twokey struct {
	engine *ops.Engine
	redis  string // of what kind, for the report
	close  func()
}

// environment is the name of the one environment.
const environment = "bench"

// database is the one of the Redis server that is used, and emptied first.
const database = 15

// operations are those of indices on the cluster at urls.
func operations(urls []string) ([]ops.Operation, error) {
	client, err := elastic.Connect(elastic.Settings{URLs: urls})
	if err != nil {
		return nil, err
	}
	return indices.Operations(map[string]indices.Site{environment: {Cluster: elastic.Cluster{Environment: environment, Client: client}}}), nil
}

// newTwokey starts an engine and its dispatcher. address is a Redis server's; empty: one
// inside this process. close stops them.
func newTwokey(ctx context.Context, address string, operations []ops.Operation) (*twokey, error) {
	t := &twokey{}
	rdb, stop, err := t.store(ctx, address)
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	dispatcher := opsredis.NewDispatcher(rdb, quiet, 0)
	t.engine = ops.New(ops.Options{
		Store: opsredis.New(rdb), Dispatcher: dispatcher, Operations: operations, Log: quiet,
	})
	working, end := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 2)
	go func() { done <- t.engine.Run(working) }()
	go func() { done <- dispatcher.Run(working, t.engine.Tick) }()
	t.close = func() {
		end()
		<-done
		<-done
		stop()
	}
	return t, nil
}

// store opens and empties Redis.
func (t *twokey) store(ctx context.Context, address string) (*redis.Client, func(), error) {
	options := &redis.Options{}
	stop := func() {}
	if address == "" {
		m, err := miniredis.Run()
		if err != nil {
			return nil, nil, err
		}
		options.Addr, stop, t.redis = m.Addr(), m.Close, "an embedded"
	} else {
		var err error
		if options, err = redis.ParseURL(address); err != nil {
			return nil, nil, fmt.Errorf("TWOKEY_TEST_REDIS: %w", err)
		}
		options.DB, t.redis = database, "a real"
	}
	options.ContextTimeoutEnabled = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	rdb := redis.NewClient(options)
	if err := rdb.FlushDB(ctx).Err(); err != nil {
		rdb.Close()
		stop()
		return nil, nil, fmt.Errorf("redis: %w", err)
	}
	return rdb, func() { rdb.Close(); stop() }, nil
}

// single is es reindex of the one index.
func (t *twokey) single(writes string) contender {
	call := ops.Call{
		Kind: "es reindex", Environment: environment, Args: []string{singleSource, singleTarget},
		Flags: map[string]string{"writes": writes, "max-impact": "full"},
	}
	return t.contender("Twokey, --writes "+writes, "`es reindex "+singleSource+" "+singleTarget+" --writes "+writes+" --max-impact full`, from the approved run's launch to its end, on "+t.redis+" Redis", call)
}

// campaign is es campaign of the small indices.
func (t *twokey) campaign() contender {
	call := ops.Call{
		Kind: "es campaign", Environment: environment, Args: []string{manySource + "*"},
		Flags: map[string]string{"to": manyTarget + "*", "writes": "block", "max-impact": "full"},
	}
	return t.contender("Twokey, campaign", "`es campaign '"+manySource+"*' --to '"+manyTarget+"*' --writes block --max-impact full`, from the approved run's launch to its end", call)
}

func (t *twokey) contender(name, how string, call ops.Call) contender {
	return contender{name: name, how: how, twokey: true, copy: func(ctx context.Context) figures { return t.carryOut(ctx, call) }}
}

// runLimit bounds a run. One that is not over by then is cancelled.
const runLimit = 15 * time.Minute

// carryOut plans a call and carries it out, as after an approval. The time begins when the
// run is submitted.
func (t *twokey) carryOut(ctx context.Context, call ops.Call) figures {
	if known, _ := t.engine.Has(call.Kind); !known {
		return figures{err: fmt.Errorf("%s: %w", call.Kind, ops.ErrUnknownKind)}
	}
	plan, err := t.engine.Plan(ctx, ops.Call{Kind: call.Kind, Environment: call.Environment, Args: call.Args, Flags: maps.Clone(call.Flags)})
	if err != nil {
		return figures{err: fmt.Errorf("plan: %w", err)}
	}
	id := ulid.Make().String()
	begin := time.Now()
	err = t.engine.Submit(ctx, ops.NewRun{ID: id, Plan: plan, Digest: plan.Digest(), Requester: "UBENCH", Approvers: []string{"UPEER"}})
	if err != nil {
		return figures{err: err}
	}
	f := figures{}
	f.steps, f.err = t.follow(ctx, id, begin)
	f.took = time.Since(begin)
	return f
}

// follow waits for the end of a run and returns how long each step took. What a run waits
// before its first step, and at its end, belongs to the steps next to it.
func (t *twokey) follow(ctx context.Context, id string, begin time.Time) ([]span, error) {
	var steps []span
	step, since := 0, begin
	for {
		run, err := t.engine.Get(ctx, id)
		if err != nil {
			return steps, err
		}
		now := time.Now()
		for step < len(run.Plan.Steps) && (step < run.Step || run.State.Ended()) {
			steps = append(steps, span{run.Plan.Steps[step].Name, now.Sub(since)})
			step, since = step+1, now
		}
		switch {
		case run.State == ops.Succeeded:
			return steps, nil
		case run.State.Ended():
			return steps, fmt.Errorf("the run ended %s: %s %q", run.State, run.Reason, run.Changed)
		case run.State == ops.Paused, now.Sub(begin) > runLimit, ctx.Err() != nil:
			return steps, errors.Join(fmt.Errorf("the run is %s after %.0f s: %s %s", run.State, now.Sub(begin).Seconds(), run.Reason, run.LastError), t.abandon(context.WithoutCancel(ctx), id))
		}
		time.Sleep(50 * time.Millisecond) // reading the run more often takes a tenth of a core
	}
}

// abandon cancels a run and waits until it has been undone.
func (t *twokey) abandon(ctx context.Context, id string) error {
	if err := t.engine.Cancel(ctx, id, "UBENCH"); err != nil {
		return err
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		run, err := t.engine.Get(ctx, id)
		if err != nil || run.State.Ended() {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("run %s is still %s two minutes after it was cancelled: %s", id, run.State, run.Reason)
		}
	}
}
