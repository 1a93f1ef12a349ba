package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// points counts the moments before and after each write of a process: to the
// cluster, to Slack, and to the run's record and its parts. At one of them the process may die, at
// another it may stop itself until somebody continues it.
type points struct {
	mu    sync.Mutex
	n     int
	times map[string]int
	die   int
	dieAt string // "2 after part": the second time it gets there
	halt  string
	note  io.Writer
}

// pass notes a point, and ends the process by SIGKILL if it is the one to die at.
func (p *points) pass(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if p.note != nil {
		fmt.Fprintf(p.note, "%d %s\n", p.n, name)
	}
	if p.times == nil {
		p.times = make(map[string]int)
	}
	p.times[name]++
	if p.n == p.die || p.dieAt != "" && p.dieAt == fmt.Sprintf("%d %s", p.times[name], name) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more happens in this process
	}
	if p.halt != "" && name == p.halt {
		p.halt = ""
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}

// writes notes the requests that match, before and after.
func (p *points) writes(system string, next http.RoundTripper, match func(*http.Request) bool) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if !match(r) {
			return next.RoundTrip(r)
		}
		name := system + " " + r.Method + " " + path.Base(r.URL.Path)
		p.pass("before " + name)
		res, err := next.RoundTrip(r)
		p.pass("after " + name)
		return res, err
	})
}

func isClusterWrite(r *http.Request) bool {
	switch r.Method {
	case http.MethodPut, http.MethodDelete:
		return true
	case http.MethodPost:
		return !strings.Contains(r.URL.Path, "/_simulate") &&
			!slices.Contains([]string{"explain", "_search", "_mget", "_count", "_refresh", "_flush"}, path.Base(r.URL.Path))
	}
	return false
}

func isSlackPost(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/chat.postMessage")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// DialHook, ProcessHook and ProcessPipelineHook make points a redis.Hook that notes the
// scripts writing a run's record.
func (p *points) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (p *points) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		what := written(cmd)
		if what == "" {
			return next(ctx, cmd)
		}
		p.pass("before " + what)
		err := next(ctx, cmd)
		p.pass("after " + what)
		return err
	}
}

func (p *points) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// written tells which part of a run a command is a script on: "record", "part", or empty.
// Scripts that read parts or dials are none; those that only look at the claim are
// "record" too.
func written(cmd redis.Cmder) string {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return ""
	}
	var keys []string
	args := cmd.Args()
	if n, ok := args[2].(int); ok {
		for _, a := range args[3 : 3+n] {
			keys = append(keys, fmt.Sprint(a))
		}
	}
	switch {
	case !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, runKeyPrefix) }):
		return ""
	case len(keys) == 2 && strings.HasPrefix(keys[1], partsKeyPrefix):
		if len(args) == 3+len(keys)+1 { // the fence alone: it reads
			return ""
		}
		return "part"
	case len(keys) == 2 && strings.HasPrefix(keys[1], dialsKeyPrefix):
		return ""
	}
	return "record"
}

// Beginnings of keys: every run's record, its parts, its dials.
const (
	runKeyPrefix   = "{twokey:ops}:run:"
	partsKeyPrefix = "{twokey:ops}:parts:"
	dialsKeyPrefix = "{twokey:ops}:dials:"
)

func splitLines(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(s) {
			if !yield(strings.TrimRight(line, "\n")) {
				return
			}
		}
	}
}
