package dns

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/deploy/awssim"
	"twokey/deploy/dns/cloudflaresim"
	"twokey/ops"
)

// TestSwitchSpecial: records that are more than a value, names beside which a CNAME may not
// stand, and zones that are there twice are refused.
func TestSwitchSpecial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.SetSpecial("example.org", "alias.example.org", "lb.example.com", "")
		w.SetSpecial("example.org", "weighted.example.org", "", "blue")
		w.SetRecord("example.org", "mail.example.org", "MX", 300, "10 mx.example.org.")
		w.AddZone(awssim.Zone{Name: "twice.org"})
		w.AddZone(awssim.Zone{Name: "twice.org"})
		w.cf.Put(cloudflaresim.Record{Name: "two.example.net", Type: "A", Content: "192.0.2.1", TTL: 60})
		w.cf.Put(cloudflaresim.Record{Name: "two.example.net", Type: "A", Content: "192.0.2.2", TTL: 60})
		for _, tt := range []struct{ names, flags, want string }{
			{"alias.example.org", "to=ip:192.0.2.7", "alias.example.org is an alias of lb.example.com | Twokey switches plain records only. Change it by hand."},
			{"weighted.example.org", "to=ip:192.0.2.7", "weighted.example.org is one of several with routing by weight, place or health | Twokey switches plain records only. Change it by hand."},
			{"mail.example.org", "to=name:lb.example.com", "mail.example.org has other records (MX), beside which a CNAME is not allowed | Give an address: --to ip:ADDRESS."},
			{"two.example.net", "to=ip:192.0.2.7", "two.example.net is 2 records of one name | Twokey switches plain records only. Change it by hand."},
			{"import.example.net", "to=ip:192.0.2.7 ttl=30s", "Cloudflare takes no TTL of 30s | Give 60s or more, or leave --ttl out."},
			{"www.example.org", "to=name:lb", `"lb" is no host name | Write it like name:lb.example.org.`},
		} {
			if _, err := w.op().Plan(t.Context(), call(switchRecords{}, tt.names, tt.flags)); explained(err) != tt.want {
				t.Errorf("%s %s: %s\nwant %s", tt.names, tt.flags, explained(err), tt.want)
			}
		}
		if _, err := w.op().Plan(t.Context(), call(switchRecords{}, "www.twice.org", "to=ip:192.0.2.7")); !strings.Contains(explained(err), "has two public zones twice.org: Z") {
			t.Error(explained(err))
		}
	})
}

// TestSwitchType: an A record becomes a CNAME in one batch, and an A record again; an IPv6
// address is compared in its usual form.
func TestSwitchType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		b := w.bench(t, "www.example.org", "to=name:LB.example.com. ttl=30s")
		if got := b.Run().Plan.Warnings; len(got) != 1 || got[0] != "www.example.org changes from A to CNAME." {
			t.Errorf("%q", got)
		}
		if p := w.run(t, b, nil); p.Phase != ops.Done || w.www() != "" || strings.Join(w.Answers("www.example.org", "CNAME"), " ") != "lb.example.com." {
			t.Errorf("%+v, %q", p, w.Answers("www.example.org", "CNAME"))
		}
		if e := w.back(t, b)["dns www.example.org"]; e.State != ops.Restored || w.www() != "192.0.2.1" || len(w.Answers("www.example.org", "CNAME")) > 0 {
			t.Errorf("%+v, %s", e, w.www())
		}
		w.SetRecord("example.org", "six.example.org", "AAAA", 60, "2001:DB8:0:0::1")
		b = w.bench(t, "six.example.org", "to=ip:2001:db8:0::7")
		if p := w.run(t, b, nil); p.Phase != ops.Done || !strings.HasPrefix(p.Status.Headline, "six.example.org is 2001:db8::7 at all 2 servers") {
			t.Errorf("%+v", p)
		}
		if e := w.back(t, b)["dns six.example.org"]; e.State != ops.Restored || *e.After != "AAAA 2001:db8::1, TTL 60" {
			t.Errorf("%+v", e)
		}
	})
}

// TestSecondFails: the second of two names, at another provider, is somebody else's by
// then; the first is put back, and the second left as it is.
func TestSecondFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		b := w.bench(t, "import.example.net www.example.org", "to=stack:web2")
		w.SetRecord("example.org", "www.example.org", "A", 300, "203.0.113.9")
		p := w.run(t, b, nil)
		if want := "www.example.org is A 203.0.113.9, TTL 300, neither the old nor the new value: somebody changed it"; p.Phase != ops.Failed || p.Reason != want {
			t.Errorf("%+v", p)
		}
		if w.imp() != "192.0.2.8 120 kept" {
			t.Errorf("the first was not switched: %s", w.imp())
		}
		b.Change(func(r *ops.Run) { r.Step = 1 })
		e := w.back(t, b)
		if _, recorded := e["dns www.example.org"]; recorded || e["dns import.example.net"].State != ops.Restored || w.www() != "203.0.113.9" || w.imp() != "192.0.2.1 120 kept" {
			t.Errorf("%+v, %s, %s", e, w.www(), w.imp())
		}
	})
}

// TestChangedAtTheSameMoment: a value that somebody writes between the reading and the
// change is not overwritten, neither by the switch nor by its undo.
func TestChangedAtTheSameMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		theirs := func() { w.SetRecord("example.org", "www.example.org", "A", 300, "203.0.113.9") }
		b := w.bench(t, "www.example.org", "to=stack:web2")
		w.between = theirs
		if p := w.run(t, b, nil); p.Phase != ops.Failed || w.www() != "203.0.113.9" {
			t.Errorf("%+v, %s", p, w.www())
		}
		if e := w.back(t, b)["dns www.example.org"]; e.State != ops.Left || w.www() != "203.0.113.9" {
			t.Errorf("%+v, %s", e, w.www())
		}
		w.SetRecord("example.org", "www.example.org", "A", 300, "192.0.2.1")
		b = w.bench(t, "www.example.org", "to=stack:web2")
		if p := w.run(t, b, nil); p.Phase != ops.Done {
			t.Errorf("%+v", p)
		}
		w.between = theirs
		if e := w.back(t, b)["dns www.example.org"]; e.State != ops.Left || w.www() != "203.0.113.9" {
			t.Errorf("undo: %+v, %s", e, w.www())
		}
	})
}

// TestPutBackMeanwhile: somebody who puts the old value back while the servers are waited
// for is not overwritten.
func TestPutBackMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		b := w.bench(t, "www.example.org", "to=stack:web2")
		w.stale["ns2.example.org:53"] = []string{"192.0.2.1"}
		w.run(t, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "servers have it") })
		w.SetRecord("example.org", "www.example.org", "A", 300, "192.0.2.1")
		if p := w.run(t, b, nil); p.Phase != ops.Failed || p.Reason != "www.example.org had the new value and is A 192.0.2.1, TTL 300 again: somebody changed it" {
			t.Errorf("%+v", p)
		}
		if e := w.back(t, b)["dns www.example.org"]; e.State != ops.Restored {
			t.Errorf("%+v", e)
		}
	})
}

// TestWildcard: a name that had no record has none again, though a wildcard answers for it.
func TestWildcard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		b := w.bench(t, "new.example.org", "to=ip:192.0.2.7")
		if strings.Contains(b.Run().Plan.Effect, "keeps the old one") {
			t.Error(b.Run().Plan.Effect)
		}
		w.run(t, b, nil)
		for _, s := range []string{"ns1.example.org:53", "ns2.example.org:53"} {
			w.stale[s] = []string{"192.0.2.99"}
		}
		if e := w.back(t, b)["dns new.example.org"]; e.State != ops.Restored {
			t.Errorf("%+v", e)
		}
	})
}

// TestProbe: a request that fails for a while is asked again; of a proxied name it goes to
// the proxy's address; a configured probe takes no 404.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		b := w.bench(t, "www.example.org", "to=stack:web2")
		w.dead["192.0.2.7"] = true
		p := w.run(t, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "not answered yet") })
		if !strings.HasPrefix(p.Status.Headline, "www.example.org points to 192.0.2.7; a request through the name is not answered yet: ") {
			t.Errorf("%+v", p)
		}
		delete(w.dead, "192.0.2.7")
		if p := w.run(t, b, nil); p.Phase != ops.Done {
			t.Errorf("%+v", p)
		}

		w.cf.Put(cloudflaresim.Record{Name: "shop.example.net", Type: "A", Content: "192.0.2.1", TTL: 1, Proxied: true})
		b = w.bench(t, "shop.example.net", "to=ip:192.0.2.7 ttl=60s")
		w.asked = nil
		if p := w.run(t, b, nil); p.Phase != ops.Done || strings.Contains(p.Status.Headline, "resolvers") {
			t.Errorf("%+v", p)
		}
		if strings.Join(w.asked, " ") != "http://198.51.100.1/ shop.example.net" {
			t.Errorf("asked %q", w.asked)
		}

		w.status = http.StatusNotFound
		if _, err := w.op().Plan(t.Context(), call(switchRecords{}, "www.example.org", "to=ip:192.0.2.9")); err != nil {
			t.Errorf("any page: %s", explained(err))
		}
		w.site.Probes = []string{"http://{address}:8080/hps?12", "http://{address}/app"}
		_, err := w.op().Plan(t.Context(), call(switchRecords{}, "www.example.org", "to=ip:192.0.2.9"))
		if want := "192.0.2.9 (typed) does not answer http://192.0.2.9:8080/hps?12: answered 404 Not Found | Wait until it does, or leave the probe out: --no-probe."; explained(err) != want {
			t.Errorf("%s\nwant %s", explained(err), want)
		}
		// All of them are asked, before the switch and after it.
		w.status = http.StatusOK
		b = w.bench(t, "www.example.org", "to=ip:192.0.2.9")
		w.asked = nil
		if p := w.run(t, b, nil); p.Phase != ops.Done || strings.Join(w.asked, "; ") != "http://192.0.2.9:8080/hps?12 www.example.org; http://192.0.2.9/app www.example.org" {
			t.Errorf("%+v, asked %q", p, w.asked)
		}
	})
}
