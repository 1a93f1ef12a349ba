//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/test/servers"
	"twokey/test/workload"
)

// campaignIndices is how many small indices TestRealCampaignKilled copies, and killEvery
// after how many finished ones the bot is killed.
const (
	campaignIndices = 60
	killEvery       = 8
)

// TestRealCampaignKilled runs a campaign over 60 small indices of a real cluster and kills
// the bot by SIGKILL after every 8 finished ones.
func TestRealCampaignKilled(t *testing.T) {
	urls := os.Getenv("TWOKEY_TEST_ES")
	if urls == "" {
		t.Skip("TWOKEY_TEST_ES names no cluster: run by make integration")
	}
	r, err := servers.StartRedis(filepath.Join(t.TempDir(), "redis"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Kill()
	o := &outside{t: t, esURLs: strings.Split(urls, ","), redis: r.URL(0)}
	o.serveSlack()
	clean := func() {
		var rows []struct{ Index string }
		if err := json.Unmarshal([]byte(o.request(http.MethodGet, "/_cat/indices/camp-*?format=json&h=index", "")), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			o.request(http.MethodDelete, "/"+row.Index, "")
		}
	}
	clean()
	t.Cleanup(clean)
	for i := range campaignIndices {
		o.request(http.MethodPut, "/"+oldIndex(i), fmt.Sprintf(`{"settings":{"number_of_shards":1,"number_of_replicas":0},
			"mappings":%s,"aliases":{"camp-live_%02d":{"is_write_index":true}}}`, workload.Lenient, i))
		if err := workload.Fill(t.Context(), o.esURLs, oldIndex(i), 200+i, workload.Filling{Seed: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	o.process = startChild(t, o.child())
	o.up()
	began := time.Now()
	o.command(alice, "/ops es campaign 'camp-v1_*' --to 'camp-v2_*' --at-once 4")
	card := o.card()
	o.click(bob, card, "approve")
	kills := 0
	for next := killEvery; next < campaignIndices; next += killEvery {
		waitFor(t, 3*time.Minute, fmt.Sprintf("%d finished", next), func() bool { return o.finished() >= next }, o.state)
		o.process.kill()
		kills++
		o.process = startChild(t, o.child())
	}
	o.replyWith(card, 3*time.Minute, ":white_check_mark: Done")
	took := time.Since(began)
	endings := 0
	for _, m := range o.slack.Thread(card.Channel, card.TS) {
		if strings.Contains(m.Text, ":white_check_mark: Done") {
			endings++
		}
	}
	if endings != 1 {
		t.Errorf("%d endings", endings)
	}
	if n := o.finished(); n != campaignIndices {
		t.Errorf("%d finished", n)
	}
	for i := range campaignIndices {
		d, err := workload.Compare(context.Background(), o.esURLs, newIndex(i), workload.Filled(200+i, workload.Filling{Seed: uint64(i)}))
		if err != nil {
			t.Fatal(err)
		}
		if !d.Same() {
			t.Errorf("%s: %s", newIndex(i), d)
		}
		var at map[string]any
		if err := json.Unmarshal([]byte(o.request(http.MethodGet, fmt.Sprintf("/_alias/camp-live_%02d", i), "")), &at); err != nil {
			t.Fatal(err)
		}
		if got := slices.Collect(maps.Keys(at)); len(got) != 1 || got[0] != newIndex(i) {
			t.Errorf("alias %d at %v", i, got)
		}
	}
	for _, v := range o.slack.Violations() {
		t.Errorf("Slack would not have taken this: %s", v)
	}
	t.Logf("the thread:\n%s", o.thread(card))
	t.Logf("figure: campaign of %d small indices with %d kill -9, one after every %d finished: %.0f s, every index equal, one ending", campaignIndices, kills, killEvery, took.Seconds())
}

func oldIndex(i int) string { return fmt.Sprintf("camp-v1_%02d", i) }
func newIndex(i int) string { return fmt.Sprintf("camp-v2_%02d", i) }

// finished counts the new indices that say of themselves that they were moved to.
func (o *outside) finished() int {
	o.t.Helper()
	var answer map[string]struct {
		Mappings struct {
			Meta struct {
				Twokey struct {
					SwappedAt string `json:"swapped_at"`
				} `json:"twokey"`
			} `json:"_meta"`
		} `json:"mappings"`
	}
	body := o.request(http.MethodGet, "/camp-v2_*/_mapping?filter_path=*.mappings._meta", "")
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		o.t.Fatal(err)
	}
	n := 0
	for _, a := range answer {
		if a.Mappings.Meta.Twokey.SwappedAt != "" {
			n++
		}
	}
	return n
}
