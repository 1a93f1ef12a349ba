// Bench measures how fast Twokey copies indices, beside other ways to do it, on the real
// cluster that TWOKEY_TEST_ES names: make bench-reindex.
//
// All contenders work in one run, one after the other in each round, and begin in another
// order each round. Each starts with a source and no target, and its time ends when the
// target is searchable; between two of them the targets are deleted and the cluster is
// waited for until nothing runs or merges any more. Its indices begin with "bench-".
//
// It asserts no figure. It fails if a target holds another number of documents than its
// source, or a contender did not work.
//
//	TWOKEY_TEST_ES        the cluster's URLs, by comma
//	TWOKEY_TEST_REDIS     for the runs of Twokey; its database 15 is emptied. Not set: embedded
//	TWOKEY_BENCH_RUNS     rounds: 5
//	TWOKEY_BENCH_DOCS     documents of the one index: 200000
//	TWOKEY_BENCH_INDICES  small indices of 1,000 documents: 200; 0: none
//	TWOKEY_BENCH_ONLY     a regular expression for names of contenders; empty: all
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	log.SetFlags(log.Ltime)
	log.SetPrefix("bench: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := 0
	if err := run(ctx); err != nil {
		log.Print(err)
		code = 1
	}
	stop()
	os.Exit(code)
}

// order is what to measure.
type order struct {
	urls    []string
	redis   string
	rounds  int
	docs    int
	indices int
	only    *regexp.Regexp
}

func run(ctx context.Context) error {
	o, err := read(os.Getenv)
	if err != nil {
		return err
	}
	c, err := newCluster(ctx, o.urls)
	if err != nil {
		return err
	}
	own, err := operations(o.urls)
	if err != nil {
		return err
	}
	t, err := newTwokey(ctx, o.redis, own)
	if err != nil {
		return err
	}
	defer t.close()
	dump, err := installElasticdump(ctx)
	if err != nil {
		return err
	}
	defer c.clear(context.WithoutCancel(ctx))

	var tables []*table
	if o.docs > 0 {
		single, err := newSingle(ctx, c, t, dump, o)
		if err != nil {
			return err
		}
		tables = append(tables, single)
	}
	if o.indices > 0 {
		many, err := newMany(ctx, c, t, o)
		if err != nil {
			return err
		}
		tables = append(tables, many)
	}
	fmt.Printf("\n%s\n", c.facts(ctx, dump))
	for _, t := range tables {
		fmt.Printf("\n%s", t.markdown())
	}
	fmt.Printf("\n## Every run, as CSV\n\n```csv\n%s\n", head)
	for _, t := range tables {
		fmt.Print(t.csv())
	}
	fmt.Println("```")
	for _, t := range tables {
		if err := t.failed(); err != nil {
			return err
		}
	}
	return nil
}

// read reads the order from the environment.
func read(getenv func(string) string) (order, error) {
	o := order{urls: strings.Split(getenv("TWOKEY_TEST_ES"), ","), redis: getenv("TWOKEY_TEST_REDIS")}
	if o.urls[0] == "" {
		return o, fmt.Errorf("TWOKEY_TEST_ES is not set: make bench-reindex starts a cluster and sets it")
	}
	for _, n := range []struct {
		name  string
		value *int
		usual int
		least int
	}{
		{"TWOKEY_BENCH_RUNS", &o.rounds, 5, 1},
		{"TWOKEY_BENCH_DOCS", &o.docs, 200_000, 0},
		{"TWOKEY_BENCH_INDICES", &o.indices, 200, 0},
	} {
		*n.value = n.usual
		if text := getenv(n.name); text != "" {
			v, err := strconv.Atoi(text)
			if err != nil || v < n.least {
				return o, fmt.Errorf("%s is %q, want a whole number from %d on", n.name, text, n.least)
			}
			*n.value = v
		}
	}
	var err error
	if o.only, err = regexp.Compile(getenv("TWOKEY_BENCH_ONLY")); err != nil {
		return o, fmt.Errorf("TWOKEY_BENCH_ONLY: %w", err)
	}
	return o, nil
}
