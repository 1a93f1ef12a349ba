//go:build integration

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestSandboxInBrowser goes a first visitor's way through the sandbox: ask as Alice, who
// may not approve it, approve as Bob, see the ending, ask for more, decline as Carol. With
// TWOKEY_SCREENSHOTS it leaves pictures in that folder; readme.png is docs/sandbox.png.
func TestSandboxInBrowser(t *testing.T) {
	p := openSandbox(t)
	s, step, text := p.sandbox, p.step, p.text
	const card = `#messages li:has(.section b)`
	begin := time.Now()
	step("1-open", 20*time.Second, chromedp.Navigate(s.workspace.URL()), chromedp.WaitVisible(".app-state.on"))
	inOrder(t, "what a newcomer is told", text("#guide"), "Ask", "/ops es drain n3", "Agree", "Switch to Bob", "Watch")

	step("2-ask", 20*time.Second, chromedp.Click(`[data-try="/ops es drain n3"]`), chromedp.Click("#composer .send"), chromedp.WaitVisible(`[data-action="approve"]`))
	inOrder(t, "the card", text(card), "Drain n3 in staging", "R2", "off n3", "Asked by @alice", "Needs 1 approval by @sre", "Targets n3", "Steps", "If it is cancelled", "request", "Approve")
	step("3-own", 20*time.Second, chromedp.Click(`[data-action="approve"]`), says("#messages .only", "somebody else must decide"))

	step("4-approve", 20*time.Second, chromedp.Click(`[data-focus="asU0BOB"]`), chromedp.WaitVisible(`[data-person="U0BOB"][aria-pressed="true"]`),
		chromedp.Click(`[data-action="approve"]`), chromedp.WaitVisible(".replies"), chromedp.Click(".replies"), chromedp.WaitVisible("#thread"))
	if seen := text("#messages"); strings.Contains(seen, "somebody else must decide") {
		t.Error("Bob sees what only Alice was told")
	}
	step("5-moving", 60*time.Second, says("#replies", "shards left on n3"))
	inOrder(t, "the card while it runs", text(card), "Drain n3 in staging", "Running", "approved by @bob", "Targets n3")

	step("6-ending", 3*time.Minute, says("#replies", "Done: Drain n3 in staging"), says(card, "n3 holds no shard"))
	inOrder(t, "the thread", text("#replies"), "replies", "Done after", "n3 holds no shard", "Started", "Done: Drain n3 in staging: n3 holds no shard.", "@alice", "Kept as planned", "exclude._name", "es undrain")
	inOrder(t, "the card at the end", text(card), "Drain n3 in staging", "Done", "n3 holds no shard", "approved by @bob", "Targets n3", "request")
	if n := s.cluster.Shards("n3"); n != 0 {
		t.Errorf("n3 holds %d shards", n)
	}
	t.Logf("figure: asked, approved and drained in a browser in %.0f s", time.Since(begin).Seconds())

	// The README's picture: as one who only watches.
	step("readme", 20*time.Second, as("U0CAROL"), says("#replies", "Done: Drain n3 in staging"), says(card, "Done"), chromedp.WaitNotPresent(".changed"))

	step("7-answers", 20*time.Second, chromedp.Click("#close"), chromedp.SendKeys("#text", "/ops es nodes\r"), says("#messages .only pre", "n6"))
	table := strings.Split(strings.TrimSpace(text("#messages .only pre")), "\n")
	if len(table) != 7 {
		t.Fatalf("a head and six nodes were expected:\n%s", strings.Join(table, "\n"))
	}
	for _, row := range table {
		if at := strings.Index(table[0], "version"); len(row) < at || row[at-1] != ' ' || row[at] == ' ' {
			t.Errorf("the columns are not aligned:\n%s", strings.Join(table, "\n"))
			break
		}
	}
	step("8-help", 20*time.Second, chromedp.SendKeys("#text", "/ops help\r"), says("#messages .only", "One asks, another agrees"))
	step("9-mistake", 20*time.Second, chromedp.SendKeys("#text", "/ops es drian n3\r"), says("#messages .only", "Did you mean /ops es drain?"))

	step("10-undrain", 20*time.Second, as("U0BOB"), chromedp.SendKeys("#text", "/ops es undrain n3\r"), chromedp.WaitVisible(`[data-action="decline"]`),
		as("U0CAROL"), chromedp.Click(`[data-action="decline"]`), says(card, "Declined by @carol"))

	var page string
	step("", 10*time.Second, chromedp.Text("body", &page))
	for _, raw := range []string{"subteam", "U0ALICE", "<!date", "undefined", "&lt;"} {
		if strings.Contains(page, raw) {
			t.Errorf("the page shows %q", raw)
		}
	}
	for _, v := range s.workspace.Violations() {
		t.Errorf("Slack would not have taken this: %s", v)
	}
}

// page is the sandbox in a browser.
type page struct {
	t       *testing.T
	sandbox *sandbox
	browser context.Context
}

// openSandbox starts a sandbox and a browser; the test is skipped where there is none.
func openSandbox(t *testing.T) *page {
	t.Helper()
	path := os.Getenv("TWOKEY_TEST_CHROMIUM")
	if path == "" {
		t.Skip("TWOKEY_TEST_CHROMIUM names no browser: run by make integration")
	}
	world, stop := context.WithCancel(t.Context())
	s, err := newSandbox(world, demoCmd{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run(world) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true))
	browser, stopAllocator := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stopAllocator)
	browser, stopBrowser := chromedp.NewContext(browser)
	t.Cleanup(stopBrowser)
	if err := chromedp.Run(browser, chromedp.EmulateViewport(1280, 720)); err != nil {
		t.Fatal(err)
	}
	return &page{t, s, browser}
}

// step does some actions within a limit. With TWOKEY_SCREENSHOTS it leaves a picture of that
// name, if it has one.
func (p *page) step(name string, limit time.Duration, actions ...chromedp.Action) {
	t, browser := p.t, p.browser
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, limit)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var body string
		_ = chromedp.Run(browser, chromedp.Evaluate(`document.body.innerText`, &body)) // for the message
		t.Fatalf("%s: %v; the page says:\n%s", name, err, body)
	}
	if dir := os.Getenv("TWOKEY_SCREENSHOTS"); dir != "" && name != "" {
		var png []byte
		if err := chromedp.Run(browser, chromedp.CaptureScreenshot(&png)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *page) text(selector string) (s string) {
	p.t.Helper()
	p.step("", 10*time.Second, chromedp.Text(selector, &s, chromedp.ByQuery))
	return s
}

// says waits until an element has some words in it.
func says(selector, words string) chromedp.Action {
	return chromedp.Poll(fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.innerText.includes(%q))`, selector, words), nil, chromedp.WithPollingTimeout(0))
}

// as switches to a person.
func as(person string) chromedp.Action {
	return chromedp.Tasks{chromedp.Click(`[data-person="` + person + `"]`), chromedp.WaitVisible(`[data-person="` + person + `"][aria-pressed="true"]`)}
}
