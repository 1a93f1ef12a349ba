package main

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"twokey/ops/elastic/indices"
	"twokey/ops/elastic/indices/registertest"
)

// TestSites: each environment has its own register, in Redis or where the configuration
// says, with the token of its variable, and what else is said of its indices.
func TestSites(t *testing.T) {
	c, err := ParseConfig("x.yaml", []byte(`
slack: { team: T0HOME }
environments:
  prod: { elasticsearch: { urls: ["http://es"], campaigns: /campaigns, hold: 1h, register: { url: "http://to-be-set", token_env: A_TOKEN, cache: 5s } } }
  staging: { elasticsearch: { urls: ["http://es"] } }
  dev: { elasticsearch: { urls: ["http://es"] } }
  other: {}
`))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registertest.NewServer("/indexes", "hunter2"))
	defer server.Close()
	c.Environments["prod"].Elasticsearch.Register.URL = server.URL + "/indexes"
	t.Setenv("A_TOKEN", "hunter2")
	p := Parts{Config: c}
	if err := p.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer rdb.Close()
	got, err := sites(p, rdb)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d sites, %v", len(got), err)
	}
	for name, s := range got {
		if s.Environment != name {
			t.Errorf("%s is of %s", name, s.Environment)
		}
		e, err := s.Register.Get(t.Context(), "dashboard-1")
		if err != nil || e.Version != "" {
			t.Errorf("%s: %+v, %v: not its own register", name, e, err)
		}
		if _, err := s.Register.Put(t.Context(), "dashboard-1", indices.Entry{Active: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for key, want := range map[string]bool{
		"{twokey:register:staging}:entry:dashboard-1": true,
		"{twokey:register:dev}:entry:dashboard-1":     true,
		"{twokey:register:prod}:entry:dashboard-1":    false,
	} {
		if m.Exists(key) != want {
			t.Errorf("%s is in Redis: %v", key, !want)
		}
	}
	if s := got["prod"]; s.RegisterCache != 5*time.Second || s.Hold != time.Hour || s.Campaigns != "/campaigns" {
		t.Errorf("prod: %v, %v, %s", s.RegisterCache, s.Hold, s.Campaigns)
	}
	if s := got["dev"]; s.RegisterCache != 30*time.Second || s.Hold != 7*24*time.Hour || s.Campaigns != "" {
		t.Errorf("dev: %v, %v, %s", s.RegisterCache, s.Hold, s.Campaigns)
	}

	p.Registers = nil
	if _, err := sites(p, rdb); err == nil {
		t.Error("prod's register is silently another one")
	}
}
