package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/ops/elastic/elasticsim"
)

// TestCampaignConversation moves twelve indices: throttled, paused, resumed, and with one
// table in one thread.
func TestCampaignConversation(t *testing.T) {
	for _, transport := range []string{"http", "socket"} {
		t.Run(transport, func(t *testing.T) { inSandbox(t, transport == "socket", campaignConversation) })
	}
}

func campaignConversation(t *testing.T, w *world) {
	const indices = 12
	want := make(map[string]map[string]string)
	for n := 101; n <= 112; n++ {
		want[fmt.Sprintf("v2_%d", n)] = w.documents(fmt.Sprintf("v1_%d", n))
	}
	turnedAway := 0
	w.es.Intercept(func(r *http.Request) elasticsim.Fault {
		if r.Method != http.MethodPut || r.URL.Path != "/v2_102" || turnedAway == 4 {
			return elasticsim.Fault{}
		}
		turnedAway++
		return elasticsim.Fault{Status: http.StatusServiceUnavailable}
	})
	w.start()
	w.command(alice, "/ops es campaign 'v1_*' --to 'v2_*' --throttle 24 --at-once 3")
	card := w.card()
	inOrder(t, "the card", blockTexts(card.Blocks), "| Campaign v1_*: 12 indices in staging · R2", "Needs 1 approval", "v1_101 → v2_101", "Largest", "at most 3 at a time", "at most 24 documents a second in all")
	w.click(bob, card, "approve")
	id := w.cardID(card)
	w.awaitReply(time.Minute, card, "of 12 indices moved")
	w.awaitReply(time.Minute, card, "v1_102: create (")
	w.awaitReply(time.Minute, card, "throttled to 24 documents a second")
	w.command(bob, "/ops es reindex throttle "+id+" 60")
	w.awaitReply(time.Minute, card, "set to 60 documents a second by")
	w.awaitReply(time.Minute, card, "throttled to 60 documents a second")
	w.command(alice, "/ops pause "+id)
	w.awaitReply(time.Minute, card, "Paused by")
	w.pass(30 * time.Second)
	writes := len(w.es.Writes())
	w.pass(time.Minute)
	if n := len(w.es.Writes()); n != writes {
		t.Errorf("%d writes while it is paused", n-writes)
	}
	w.command(alice, "/ops resume "+id)
	w.awaitReply(time.Minute, card, "Resumed by")
	w.awaitReply(10*time.Minute, card, ":white_check_mark: Done")
	w.once(card, "Started", "Throttle of", "Paused by", "Resumed by", ":white_check_mark: Done", "12 indices made", "12 indices moved")
	for _, v := range w.thread(card)[0].Edits {
		for line := range strings.Lines(blockTexts(v.Blocks)) {
			var working, most int
			if n, _ := fmt.Sscanf(line, "| %d in work, at most %d", &working, &most); n == 2 && (working > most || most != 3) {
				t.Errorf("the status said %q", line)
			}
		}
	}
	table := strings.Split(strings.TrimSpace(w.file(card, "campaign.tsv")), "\n")
	if len(table) != 1+indices {
		t.Errorf("the table:\n%s", strings.Join(table, "\n"))
	}
	for index, docs := range want {
		w.same(index, docs)
		if names := w.at("dashboard-" + index[3:]); !slices.Equal(names, []string{index}) {
			t.Errorf("dashboard-%s is at %v", index[3:], names)
		}
	}
}

// TestSwapBackConversation goes back to the old index, with what was written to the new one.
func TestSwapBackConversation(t *testing.T) {
	inSandbox(t, true, func(t *testing.T, w *world) {
		w.start()
		w.command(alice, "/ops es reindex products products-b")
		card := w.card()
		w.click(bob, card, "approve")
		w.awaitReply(10*time.Minute, card, ":white_check_mark: Done")
		writer := w.write()
		w.pass(10 * time.Second)
		w.command(alice, "/ops es swap-back products-b")
		back := w.next(card)
		inOrder(t, "the card", blockTexts(back.Blocks), "Swap back from products-b to products", "oves readers and writers back to products, with what was written")
		w.click(bob, back, "approve")
		w.awaitReply(10*time.Minute, back, ":white_check_mark: Done")
		w.pass(3 * time.Second)
		writer.stop()
		if names := w.at("catalog"); !slices.Equal(names, []string{"products"}) {
			t.Errorf("catalog is at %v", names)
		}
		w.same("products", writer.docs)
	})
}

// TestDeleteIndexConversation deletes an index that was replaced: not while it is held,
// not without its name typed, and not with one approval.
func TestDeleteIndexConversation(t *testing.T) {
	inSandbox(t, false, func(t *testing.T, w *world) {
		w.config.Environments[sandboxEnvironment].Elasticsearch.Hold = 10 * time.Minute
		w.start()
		w.command(alice, "/ops es reindex products products-b")
		card := w.card()
		w.click(bob, card, "approve")
		w.awaitReply(10*time.Minute, card, ":white_check_mark: Done")
		refused := func(text, why string) {
			t.Helper()
			before := len(w.slack.Ephemerals(alice))
			w.command(alice, text)
			w.await(time.Minute, "refusal of "+text, func() bool { return len(w.slack.Ephemerals(alice)) > before })
			if got := w.slack.Ephemerals(alice)[before].Text; !strings.Contains(got, why) {
				t.Errorf("%s: %q, want %q", text, got, why)
			}
		}
		refused("/ops es delete-index products --confirm products", "products is held until")
		w.pass(11 * time.Minute)
		refused("/ops es delete-index products", "type it again with `--confirm products`")
		refused("/ops es delete-index products --confirm product", "type it again with `--confirm products`")
		refused("/ops es delete-index products-b --confirm products-b", "still reached through an alias: catalog")
		if n := len(w.slack.Channel(sandboxChannel)); n != 1 {
			t.Fatalf("%d cards after refused deletions", n)
		}
		w.command(alice, "/ops es delete-index products --confirm products")
		gone := w.next(card)
		inOrder(t, "the card", blockTexts(gone.Blocks), "Delete products in staging", "R3", "estroys products with 4,000 documents", "Needs 2 approvals")
		w.click(bob, gone, "approve")
		w.click(bob, gone, "approve") // the same person twice is one
		w.pass(2 * time.Minute)
		if w.es.Docs("products") == nil {
			t.Fatal("deleted by one approval")
		}
		w.click(carol, gone, "approve")
		w.awaitReply(5*time.Minute, gone, ":white_check_mark: Done")
		if w.es.Docs("products") != nil {
			t.Error("products is still there")
		}
		if n := len(w.documents("products-b")); n != 4000 {
			t.Errorf("products-b has %d documents", n)
		}
	})
}
