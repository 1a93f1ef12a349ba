package workload

import (
	"net/http"
	"strings"
	"testing"
)

func TestProxyDropsOneReply(t *testing.T) {
	f := newFakeNode(t)
	p, err := StartProxy(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	nodes := Dial([]string{p.URL})
	create := func(method, path string) bool { return method == http.MethodPut && strings.Contains(path, "/_create/") }
	put := func(id string) error {
		return nodes.Do(t.Context(), http.MethodPut, "/live/_create/"+id+"?timeout=10s", map[string]int{"n": 1}, nil)
	}
	if err := put("a"); err != nil {
		t.Fatal(err)
	}
	dropped := p.Drop(create)
	if err := nodes.Do(t.Context(), http.MethodPost, "/live/_refresh", nil, nil); err != nil {
		t.Errorf("another request was hit: %v", err)
	}
	if err := put("a"); Status(err) != http.StatusConflict {
		t.Errorf("an answer that is an error was not passed on: %v", err)
	}
	select {
	case <-dropped:
		t.Fatal("dropped before there was a reply")
	default:
	}
	if err := put("b"); err == nil || Status(err) != 0 {
		t.Errorf("the reply came: %v", err)
	}
	<-dropped
	if _, there := f.docs["b"]; !there {
		t.Error("the request was not carried out")
	}
	if err := put("c"); err != nil {
		t.Errorf("more than one reply was dropped: %v", err)
	}
	if n := p.Count(create); n != 4 {
		t.Errorf("%d creates counted, want 4", n)
	}
	f.CloseClientConnections()
	f.Close()
	if err := put("d"); err == nil || Status(err) != 0 {
		t.Errorf("a node that is gone answered: %v", err)
	}
}
