package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"twokey/ops/elastic/elasticsim"
)

// TestZombie has two replicas. The one that works on the drain is stopped by SIGSTOP in
// the middle of a tick, past its lease; the other takes over and ends the drain; then
// the first is continued. It must not write anything.
func TestZombie(t *testing.T) {
	for _, at := range []string{"before cluster PUT settings", "after cluster PUT settings"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			o := newOutside(t, false, quickCluster())
			c := o.child()
			c.Halt = at
			first := startChild(t, c)
			o.process = first
			o.up()
			o.command(alice, "/ops es drain n3 --env staging")
			card := o.card()
			o.click(bob, card, "approve")
			waitFor(t, 20*time.Second, "stop", func() bool { return processState(t, first) == "T" }, o.state)
			begin := time.Now()
			o.process = startChild(t, o.child())
			o.replyWith(card, 90*time.Second, ":white_check_mark: Done")
			took := time.Since(begin)
			writes, settings, posts := len(o.es.Writes()), o.settings(), len(o.slack.Channel(sandboxChannel))+len(o.slack.Thread(card.Channel, card.TS))

			said := len(first.all())
			first.signal(syscall.SIGCONT)
			waitFor(t, 20*time.Second, "sign of life of the continued process", func() bool {
				since := first.all()[said:] // its tick ends in one of two ways, neither with a write
				return strings.Contains(since, "claim lost") || strings.Contains(since, "tick failed")
			}, first.tail)
			time.Sleep(3 * time.Second) // to do harm in
			if n := len(o.es.Writes()); n != writes {
				t.Errorf("the continued process wrote to the cluster: %+v", o.es.Writes()[writes:])
			}
			if s := o.settings(); s != settings {
				t.Errorf("settings after:\n%s\nbefore:\n%s", s, settings)
			}
			if n := len(o.slack.Channel(sandboxChannel)) + len(o.slack.Thread(card.Channel, card.TS)); n != posts {
				t.Errorf("%d posts after, %d before", n, posts)
			}
			noDoubledWrites(t, o.es)
			t.Logf("figure: a replica stopped %s: the other ended the drain in %.1f s (lease %s); continued, it wrote nothing", at, took.Seconds(), crashLease)
		})
	}
}

// noDoubledWrites fails if the cluster got the same body twice.
func noDoubledWrites(t *testing.T, es *elasticsim.Cluster) {
	t.Helper()
	seen := make(map[string]bool)
	for _, w := range es.Writes() {
		key := fmt.Sprintf("%s %s %s", w.Method, w.Path, w.Body)
		if seen[key] {
			t.Errorf("written twice: %s", key)
		}
		seen[key] = true
	}
}

// processState is the letter of Linux for what a process does: T is stopped.
func processState(t *testing.T, p *process) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

func (p *process) all() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
