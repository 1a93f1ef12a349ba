package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"twokey/test/servers"
)

// elasticdumpVersion is pinned. It wants Node 18 or later.
const elasticdumpVersion = "6.125.1"

// elasticdump is the tool of this name from the npm registry.
type elasticdump struct {
	program string
	node    string // version
}

// dumpOptions are options beside --input, --output and --type.
type dumpOptions []string

func (o dumpOptions) String() string { return strings.Join(o, " ") }

var (
	dumpDefaults dumpOptions
	// Batches as large as a scroll allows, and several bulk requests under way.
	dumpTuned = dumpOptions{"--limit=10000", "--concurrency=4", "--noRefresh"}
)

// installElasticdump installs it by npm into the cache folder, on first use.
func installElasticdump(ctx context.Context) (elasticdump, error) {
	cache, err := servers.CacheDir()
	if err != nil {
		return elasticdump{}, err
	}
	if err := servers.Need([2]string{"node", "nodejs"}, [2]string{"npm", "npm"}); err != nil {
		return elasticdump{}, err
	}
	node, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return elasticdump{}, fmt.Errorf("node --version: %w", err)
	}
	dir := filepath.Join(cache, "elasticdump-"+elasticdumpVersion)
	d := elasticdump{filepath.Join(dir, "node_modules", "elasticdump", "bin", "elasticdump"), strings.TrimSpace(string(node))}
	done := filepath.Join(dir, ".complete")
	if _, err := os.Stat(done); err == nil {
		return d, nil
	}
	log.Printf("installing elasticdump %s by npm (once)", elasticdumpVersion)
	if err := os.RemoveAll(dir); err != nil {
		return d, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return d, err
	}
	cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", "elasticdump@"+elasticdumpVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		return d, fmt.Errorf("npm install elasticdump: %w: %.500s", err, out)
	}
	return d, os.WriteFile(done, nil, 0o644)
}

// copy copies source into a new target by one call of the tool.
func (d elasticdump) copy(ctx context.Context, c *cluster, source, target string, o dumpOptions) figures {
	return timed(func() error {
		if err := c.create(ctx, target, singleShards, false); err != nil {
			return err
		}
		args := append([]string{d.program, "--input=" + c.urls[0] + "/" + source, "--output=" + c.urls[0] + "/" + target, "--type=data"}, o...)
		if out, err := exec.CommandContext(ctx, "node", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("elasticdump: %w: %q", err, out[max(0, len(out)-500):])
		}
		return c.Do(ctx, http.MethodPost, "/"+target+"/_refresh", nil, nil)
	})
}
