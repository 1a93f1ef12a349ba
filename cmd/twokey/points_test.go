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
	"strings"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// points counts the moments before and after each write of a process: to the
// cluster, to Slack, and to the run's record. At one of them the process may die, at
// another it may stop itself until somebody continues it.
type points struct {
	mu   sync.Mutex
	n    int
	die  int
	halt string
	note io.Writer
}

// pass notes a point, and ends the process by SIGKILL if it is the one to die at.
func (p *points) pass(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if p.note != nil {
		fmt.Fprintf(p.note, "%d %s\n", p.n, name)
	}
	if p.n == p.die {
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
	return r.Method == http.MethodPut || r.Method == http.MethodDelete || r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/explain")
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
		if !writesRecord(cmd) {
			return next(ctx, cmd)
		}
		p.pass("before record")
		err := next(ctx, cmd)
		p.pass("after record")
		return err
	}
}

func (p *points) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// writesRecord reports whether a command is a script on a run's record.
func writesRecord(cmd redis.Cmder) bool {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return false
	}
	for _, a := range cmd.Args() {
		if key, ok := a.(string); ok && strings.HasPrefix(key, runKeyPrefix) {
			return true
		}
	}
	return false
}

// runKeyPrefix begins the key of every run's record.
const runKeyPrefix = "{twokey:ops}:run:"

func splitLines(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(s) {
			if !yield(strings.TrimRight(line, "\n")) {
				return
			}
		}
	}
}
