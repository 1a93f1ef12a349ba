package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"twokey/deploy/awsproxy"
	"twokey/deploy/awssim"
	"twokey/deploy/deploytest"
	"twokey/deploy/dns/cloudflaresim"
	"twokey/ops"
	"twokey/ops/opstest"
)

// world is Route 53 with example.org, Cloudflare with example.net, two servers each, and
// machines that answer.
type world struct {
	*awssim.Sim
	proxy *awsproxy.Proxy
	cf    *cloudflaresim.Sim
	site  Site
	dead  map[string]bool     // addresses that do not answer requests
	stale map[string][]string // what a server answers instead
	// between is called once, just before a change reaches Route 53.
	between func()
	asked   []string // URL and host of each probe
	status  int      // what machines answer; zero: 200
}

// ServeHTTP is Route 53 and the rest of AWS.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if f := w.between; f != nil && r.Method == http.MethodPost && strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/rrset") {
		w.between = nil
		f()
	}
	w.Sim.ServeHTTP(rw, r)
}

func newWorld(t *testing.T, lag time.Duration) *world {
	t.Helper()
	w := &world{Sim: awssim.New(awssim.Options{Now: time.Now, Stacks: []awssim.Stack{}}), dead: map[string]bool{}, stale: map[string][]string{}}
	w.AddZone(awssim.Zone{Name: "example.org", Servers: []string{"ns1.example.org", "ns2.example.org"}, Lag: lag})
	w.AddZone(awssim.Zone{Name: "org", Servers: []string{"a.org"}})
	w.AddZone(awssim.Zone{Name: "www.example.org", Private: true})
	w.SetRecord("example.org", "www.example.org", "A", 300, "192.0.2.1")
	w.cf = &cloudflaresim.Sim{Zone: "example.net", Token: "secret-token", Servers: []string{"ns.cloudflare.example"}}
	w.cf.Put(cloudflaresim.Record{Name: "import.example.net", Type: "A", Content: "192.0.2.1", TTL: 120, Comment: "kept"})
	w.proxy = awsproxy.Over(w)
	w.site = Site{
		Account: deploytest.Simulated(t, w.proxy), Cloudflare: []string{"example.net"}, Token: "secret-token", CloudflareURL: "http://cloudflare.example/client/v4/",
		HTTP: &http.Client{Transport: w}, Exchange: w.exchange,
		Records: map[string]string{"www.example.org": "instance:{stack}-lb", "import.example.net": "instance:{stack}-worker"},
	}
	w.SetInstance(awssim.Instance{ID: "i-lb", Name: "web2-lb", PublicIP: "192.0.2.7"})
	w.SetInstance(awssim.Instance{ID: "i-worker", Name: "web2-worker", PublicIP: "192.0.2.8"})
	w.AddStack("web2", "Tag", "2")
	return w
}

// RoundTrip answers Cloudflare's API and the machines.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "cloudflare.example" {
		return awssim.Client{Handler: w.cf}.Do(r)
	}
	if w.dead[r.URL.Hostname()] || r.Host == "" {
		return nil, errors.New("connection refused")
	}
	w.asked = append(w.asked, r.URL.String()+" "+r.Host)
	code := http.StatusOK
	if w.status != 0 {
		code = w.status
	}
	return &http.Response{StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// exchange is the authoritative servers.
func (w *world) exchange(_ context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	q := m.Question[0]
	out := new(dns.Msg)
	out.SetReply(m)
	kind := dns.TypeToString[q.Qtype]
	values := w.Answers(strings.TrimSuffix(q.Name, "."), kind)
	if strings.HasPrefix(server, "ns.cloudflare") {
		for _, r := range w.cf.Records() {
			if r.Name+"." == q.Name && r.Type == kind {
				values = append(values, r.Content)
				if r.Proxied {
					values = []string{"198.51.100.1"}
				}
			}
		}
	}
	if v, ok := w.stale[server]; ok {
		values = v
	}
	for _, v := range values {
		rr, err := dns.NewRR(fmt.Sprintf("%s 60 IN %s %s", q.Name, kind, v))
		if err != nil {
			return nil, err
		}
		out.Answer = append(out.Answer, rr)
	}
	return out, nil
}

func (w *world) op() switchRecords { return switchRecords{map[string]Site{"staging": w.site}} }

var call, explained = deploytest.Call, opstest.Explained

func (w *world) bench(t *testing.T, names, flags string) *opstest.Bench {
	t.Helper()
	return deploytest.Bench(t, w.op(), names, flags)
}

func (w *world) run(t *testing.T, b *opstest.Bench, until func(ops.Progress) bool) ops.Progress {
	t.Helper()
	return deploytest.Run(t, w.op(), b, until)
}

func (w *world) back(t *testing.T, b *opstest.Bench) map[string]ops.Change {
	t.Helper()
	return deploytest.Back(t, w.op(), b)
}

func (w *world) www() string { return strings.Join(w.Answers("www.example.org", "A"), " ") }
func (w *world) imp() string {
	for _, r := range w.cf.Records() {
		if r.Name == "import.example.net" {
			return fmt.Sprintf("%s %d %s", r.Content, r.TTL, r.Comment)
		}
	}
	return ""
}

// TestSwitch points two names, at two providers, each to its own instance of the new
// stack, and back.
func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20*time.Second)
		b := w.bench(t, "www.example.org import.example.net", "to=stack:web2")
		plan := b.Run().Plan
		if got, want := plan.Shown[2].Text, "A 192.0.2.1, TTL 300 → A 192.0.2.7, TTL 300, by instance i-lb (web2-lb) (Route 53, zone example.org; servers ns1.example.org, ns2.example.org)"; got != want {
			t.Errorf("shown %s\nwant  %s", got, want)
		}
		if !strings.Contains(plan.Effect, "up to 5m") {
			t.Error(plan.Effect)
		}
		p := w.run(t, b, nil)
		if p.Phase != ops.Done || p.Status.Headline != "www.example.org is 192.0.2.7 at all 2 servers, and answers; resolvers may keep the old value for up to 5m" || w.www() != "192.0.2.7" || w.imp() != "192.0.2.8 120 kept" {
			t.Errorf("%+v, %s, %s", p, w.www(), w.imp())
		}
		b.Change(func(r *ops.Run) { r.Step = 1 })
		e := w.back(t, b)
		if e["dns www.example.org"].State != ops.Restored || e["dns import.example.net"].State != ops.Restored || w.www() != "192.0.2.1" || w.imp() != "192.0.2.1 120 kept" {
			t.Errorf("%+v, %s, %s", e, w.www(), w.imp())
		}
	})
}

// TestSwitchRefusals: what is not clear, not there or not needed is refused.
func TestSwitchRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.SetInstance(awssim.Instance{ID: "i-a", Name: "twin", PublicIP: "192.0.2.20"})
		w.SetInstance(awssim.Instance{ID: "i-b", Name: "twin", PublicIP: "192.0.2.21"})
		w.SetInstance(awssim.Instance{ID: "i-c", Name: "asleep", PublicIP: "192.0.2.22", State: "stopped"})
		w.dead["192.0.2.30"] = true
		for _, tt := range []struct{ names, flags, want string }{
			{"www.example.org", "to=web2", "--to web2 says not where the name is to point | Give stack:STACK, stack:STACK#OUTPUT, instance:NAME, ip:ADDRESS or name:HOST."},
			{"www", "to=ip:192.0.2.7", `"www" cannot be the name of a record | Give its whole name, like www.example.org.`},
			{"www.example.org", "to=ip:192.0.2.1", "www.example.org points to 192.0.2.1 already | There is nothing to do."},
			{"www.example.org", "to=instance:twin", "2 running instances in staging (eu-west-1) are named twin: i-a, i-b | Which one is meant cannot be guessed: give its address, --to ip:ADDRESS."},
			{"www.example.org", "to=instance:asleep", "no running instance in staging (eu-west-1) is named asleep | Check the stack and the name; the name must match exactly."},
			{"www.example.org", "to=stack:web3", "there is no stack web3 in staging (eu-west-1) | Check the name and the environment."},
			{"www.example.org", "to=ip:192.0.2.30", `192.0.2.30 (typed) does not answer http://192.0.2.30/: Get "http://192.0.2.30/": connection refused | Wait until it does, or leave the probe out: --no-probe.`},
			{"example.org", "to=name:lb.example.com", "example.org is the top of its zone, where a CNAME is not allowed | Give an address: --to ip:ADDRESS."},
			{"www.example.com", "to=ip:192.0.2.7", "no public zone of Route 53 in staging (eu-west-1) holds www.example.com | Zones there: example.org, org, www.example.org."},
			{"www.example.org", "to=ip:192.0.2.7 ttl=1w", "--ttl 1w is no time a record may be kept for | Write it like 60s or 5m, a day at most."},
		} {
			if _, err := w.op().Plan(t.Context(), call(switchRecords{}, tt.names, tt.flags)); explained(err) != tt.want {
				t.Errorf("%s %s: %s\nwant %s", tt.names, tt.flags, explained(err), tt.want)
			}
		}
		w.site.Token = "wrong"
		if _, err := w.op().Plan(t.Context(), call(switchRecords{}, "import.example.net", "to=ip:192.0.2.7")); !strings.HasPrefix(explained(err), "Cloudflare does not accept the token") || strings.Contains(fmt.Sprint(err), "wrong") {
			t.Error(explained(err))
		}
	})
}

// TestSwitchWaits: a server that lags is named and waited for.
func TestSwitchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		b := w.bench(t, "www.example.org", "to=stack:web2")
		w.stale["ns2.example.org:53"] = []string{"192.0.2.1"}
		p := w.run(t, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "servers have it") })
		if want := "www.example.org: 1 of 2 servers have it; ns2.example.org answers 192.0.2.1"; p.Status.Headline != want {
			t.Errorf("%s\nwant %s", p.Status.Headline, want)
		}
		delete(w.stale, "ns2.example.org:53")
		if p := w.run(t, b, nil); p.Phase != ops.Done {
			t.Errorf("%+v", p)
		}
	})
}

// TestSwitchFails: an address that answers no request through the name is a failure, and
// what somebody else changed since is left to them.
func TestSwitchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		b := w.bench(t, "www.example.org", "to=stack:web2")
		w.dead["192.0.2.7"] = true
		if p := w.run(t, b, nil); p.Phase != ops.Failed || !strings.Contains(p.Reason, "no request through the name was answered for 1m: ") {
			t.Errorf("%+v", p)
		}
		if e := w.back(t, b)["dns www.example.org"]; e.State != ops.Restored || w.www() != "192.0.2.1" {
			t.Errorf("%+v, %s", e, w.www())
		}
		w.dead["192.0.2.7"] = false
		b = w.bench(t, "www.example.org", "to=stack:web2")
		w.run(t, b, nil)
		w.SetRecord("example.org", "www.example.org", "A", 300, "203.0.113.9")
		if e := w.back(t, b)["dns www.example.org"]; e.State != ops.Left || *e.After != "A 203.0.113.9, TTL 300" || w.www() != "203.0.113.9" {
			t.Errorf("%+v, %s", e, w.www())
		}
		// A name without a record loses it again.
		b = w.bench(t, "new.example.org", "to=ip:192.0.2.7")
		w.run(t, b, nil)
		if e := w.back(t, b)["dns new.example.org"]; e.State != ops.Restored || len(w.Answers("new.example.org", "A")) > 0 {
			t.Errorf("%+v", e)
		}
	})
}

// TestSwitchCrashes: a crash at each write of the record, and the loss of each reply, at
// both providers; then on, or back.
func TestSwitchCrashes(t *testing.T) {
	names := "www.example.org import.example.net"
	try := func(at int, lost, cancel bool, trouble func(*world)) (crashed bool) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 5*time.Second)
			b := w.bench(t, names, "to=stack:web2")
			if trouble != nil {
				trouble(w)
			} else {
				b.Crash(at, lost)
			}
			p := w.run(t, b, func(ops.Progress) bool { return b.Crashed() })
			crashed = b.Crashed()
			b.Restart()
			if cancel {
				b.Change(func(r *ops.Run) { r.Step = 1 })
				for key, e := range w.back(t, b) {
					if e.State != ops.Restored {
						t.Errorf("at %d, lost %v: %s %+v", at, lost, key, e)
					}
				}
				if w.www() != "192.0.2.1" || w.imp() != "192.0.2.1 120 kept" {
					t.Errorf("at %d, lost %v, cancelled: %s, %s", at, lost, w.www(), w.imp())
				}
				return
			}
			if crashed {
				p = w.run(t, b, nil)
			}
			if p.Phase != ops.Done || w.www() != "192.0.2.7" || w.imp() != "192.0.2.8 120 kept" {
				t.Errorf("at %d, lost %v: %+v, %s, %s", at, lost, p, w.www(), w.imp())
			}
		})
		return crashed
	}
	writes := opstest.EveryCrash(func(at int, lost, cancel bool) bool { return try(at, lost, cancel, nil) })
	for _, cancel := range []bool{true, false} {
		for _, rule := range []awsproxy.Rule{
			{Action: "POST ", Drop: true}, {Action: "POST ", Lose: true}, {Service: "route53", Every: 4, Times: -1, Code: "Throttling", Message: "Rate exceeded"},
			{Action: "POST ", Code: "PriorRequestNotComplete", Times: 2},
		} {
			try(0, false, cancel, func(w *world) { w.proxy.Add(rule) })
		}
		n := 0
		try(0, false, cancel, func(w *world) {
			w.cf.After = func(*http.Request) {
				if n++; n == 1 {
					panic(http.ErrAbortHandler)
				}
			}
		})
		m := 0
		try(0, false, cancel, func(w *world) {
			w.cf.Before = func(rw http.ResponseWriter, _ *http.Request) bool {
				if m++; m == 1 {
					cloudflaresim.Refuse(rw, http.StatusTooManyRequests, 10000, "rate limited")
				}
				return m == 1
			}
		})
	}
	t.Logf("figure: a switch of two names at two providers crashed before and after each of %d writes, replies lost, throttled; then on or back", writes)
	if writes < 6 {
		t.Errorf("%d writes only", writes)
	}
}

// TestProxied: of a record that Cloudflare proxies, its word and the request count.
func TestProxied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.cf.Put(cloudflaresim.Record{Name: "shop.example.net", Type: "A", Content: "192.0.2.1", TTL: 1, Proxied: true})
		b := w.bench(t, "shop.example.net", "to=ip:192.0.2.7")
		if p := w.run(t, b, nil); p.Phase != ops.Done || p.Status.Headline != "shop.example.net is 192.0.2.7 behind Cloudflare's proxy, and answers" {
			t.Errorf("%+v", p)
		}
		if r := w.cf.Records()[1]; !r.Proxied || r.TTL != 1 || r.Content != "192.0.2.7" {
			t.Errorf("%+v", r)
		}
	})
}

func TestShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.stale["ns2.example.org:53"] = []string{"192.0.2.9"}
		a, err := showRecords{map[string]Site{"staging": w.site}}.Answer(t.Context(), ops.Call{Kind: "dns show", Environment: "staging", Args: []string{"www.example.org"}})
		if err != nil || a.Title != "www.example.org: 1 server does not answer as the provider says" || len(a.Table.Rows) != 3 || a.Table.Rows[2][2] != "192.0.2.9 (differs)" {
			t.Errorf("%+v, %+v, %v", a, a.Table, err)
		}
	})
}
