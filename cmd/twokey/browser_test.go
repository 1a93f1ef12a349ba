//go:build integration

package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestSandboxInBrowser goes a first visitor's way through the sandbox: ask as Alice,
// approve as Bob, see the ending. With TWOKEY_SCREENSHOTS it leaves pictures
// in that folder.
func TestSandboxInBrowser(t *testing.T) {
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
		chromedp.WindowSize(1280, 860), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true))
	browser, stopAllocator := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stopAllocator)
	browser, stopBrowser := chromedp.NewContext(browser)
	t.Cleanup(stopBrowser)
	if err := chromedp.Run(browser); err != nil {
		t.Fatal(err)
	}
	step := func(name string, limit time.Duration, actions ...chromedp.Action) {
		t.Helper()
		ctx, cancel := context.WithTimeout(browser, limit)
		defer cancel()
		if err := chromedp.Run(ctx, actions...); err != nil {
			var body string
			_ = chromedp.Run(browser, chromedp.Evaluate(`document.body.innerText`, &body)) // for the message
			t.Fatalf("%s: %v; the page says:\n%s", name, err, body)
		}
		if dir := os.Getenv("TWOKEY_SCREENSHOTS"); dir != "" {
			var png []byte
			if err := chromedp.Run(browser, chromedp.CaptureScreenshot(&png)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	var thread, card string
	begin := time.Now()
	step("1-open", 20*time.Second, chromedp.Navigate(s.workspace.URL()), chromedp.WaitVisible(".app-state.on"))
	step("2-ask", 20*time.Second, chromedp.SendKeys("#text", "/ops es drain n3\r"), chromedp.WaitVisible(`[data-action="approve"]`))
	step("3-approve", 20*time.Second, chromedp.Click(`[data-person="U0BOB"]`), chromedp.WaitVisible(`[data-person="U0BOB"][aria-pressed="true"]`),
		chromedp.Click(`[data-action="approve"]`), chromedp.WaitVisible(".replies"), chromedp.Click(".replies"), chromedp.WaitVisible("#thread"))
	step("4-moving", 60*time.Second, chromedp.Poll(`document.querySelector("#replies").innerText.includes("left on n3")`, nil, chromedp.WithPollingTimeout(0)))
	step("5-ending", 3*time.Minute,
		chromedp.Poll(`document.querySelector("#replies").innerText.includes("Done: Drain n3 in staging")`, nil, chromedp.WithPollingTimeout(0)),
		chromedp.Text("#replies", &thread), chromedp.Text("#messages", &card))
	if !strings.Contains(thread, "n3 holds no shard") || !strings.Contains(thread, "Kept as planned") {
		t.Errorf("the thread says:\n%s", thread)
	}
	if n := s.cluster.Shards("n3"); n != 0 {
		t.Errorf("n3 holds %d shards", n)
	}
	if !strings.Contains(card, "Done") {
		t.Errorf("the channel says:\n%s", card)
	}
	for _, v := range s.workspace.Violations() {
		t.Errorf("Slack would not have taken this: %s", v)
	}
	t.Logf("figure: asked, approved and drained in a browser in %.0f s", time.Since(begin).Seconds())
}
