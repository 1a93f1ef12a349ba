//go:build integration

package slacksim_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"twokey/bot/slacksim"
)

// chromium starts a browser, or skips the test where none is installed.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no chromium, chromium-browser, google-chrome or chrome in PATH: the page is not tried in a browser")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true))
	ctx, stopAllocator := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stopBrowser := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil { // closes the browser and waits for it
			t.Logf("closing the browser: %v", err)
		}
		stopBrowser()
		stopAllocator()
	})
	return ctx
}

// TestPageInBrowser goes the way of a first visitor with a small app behind the page:
// ask as Alice, switch to Bob, approve by button, see the ending in the thread, take a
// reaction back; an app's words never become markup.
func TestPageInBrowser(t *testing.T) {
	ctx := chromium(t)
	w := slacksim.New(slacksim.Options{Try: []string{"/ops es drain n3", "/ops help"}, Welcome: "*Twokey* needs two people."})
	t.Cleanup(func() { _ = w.Close() })
	w.AddPerson(slacksim.Person{ID: "U0ALICE", Name: "alice", RealName: "Alice Moreau"})
	w.AddPerson(slacksim.Person{ID: "U0BOB", Name: "bob", RealName: "Bob Okafor"})
	w.AddChannel(slacksim.Channel{ID: "C0OPS", Name: "ops"})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = w.Serve(ln) }()
	base := "http://" + ln.Addr().String()
	runApp(t, base, w.Options())

	var title, log, whisper, ending, markup, file, href string
	var unread, hidden bool
	step := func(name string, actions ...chromedp.Action) {
		t.Helper()
		limit, stop := context.WithTimeout(ctx, 15*time.Second)
		defer stop()
		if err := chromedp.Run(limit, actions...); err != nil {
			var body string
			_ = chromedp.Run(ctx, chromedp.Evaluate(`innerWidth + " wide\n" + document.body.innerText`, &body))
			t.Fatalf("%s: %v; the page is %s", name, err, body)
		}
	}
	if err := chromedp.Run(ctx); err != nil { // the browser starts in its own time, not in a step's
		t.Fatal(err)
	}
	step("open", chromedp.Navigate(base), chromedp.WaitVisible(".app-state.on"), chromedp.Title(&title))
	if !strings.Contains(title, "#ops as Alice Moreau") {
		t.Errorf("title %q", title)
	}
	step("ask",
		chromedp.Click(`[data-try="/ops es drain n3"]`), chromedp.SendKeys("#text", "\r"),
		chromedp.WaitVisible(`[data-action="approve"]`),
		chromedp.WaitVisible(".msg.only"), chromedp.Text(".msg.only .content", &whisper),
		chromedp.WaitVisible(`[data-person="U0BOB"] .dot`))
	if !strings.Contains(whisper, "es drain n3") {
		t.Errorf("whispered %q", whisper)
	}
	step("switch to bob", chromedp.Click(`[data-person="U0BOB"]`), chromedp.WaitVisible(`[data-person="U0BOB"][aria-pressed="true"]`),
		chromedp.WaitNotPresent(".msg.only"))
	var at struct{ X, Y float64 }
	var before int
	const asked = `performance.getEntriesByType("resource").filter((e) => e.name.includes("/state?")).length`
	step("press Alice", chromedp.Evaluate(`(({ x, y, width, height }) => ({ X: x + width / 2, Y: y + height / 2 }))(document.querySelector('[data-person="U0ALICE"]').getBoundingClientRect())`, &at),
		chromedp.Evaluate(asked, &before))
	step("hold", chromedp.MouseEvent("mousePressed", at.X, at.Y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	if _, err := w.Say("U0BOB", "C0OPS", "while a button is held", ""); err != nil {
		t.Fatal(err)
	}
	step("release after news came", chromedp.Poll(fmt.Sprintf("%s > %d", asked, before), nil),
		chromedp.MouseEvent("mouseReleased", at.X, at.Y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.WaitVisible(`[data-person="U0ALICE"][aria-pressed="true"]`), chromedp.Poll(`document.querySelector("#messages").innerText.includes("while a button is held")`, nil),
		chromedp.Click(`[data-person="U0BOB"]`), chromedp.WaitVisible(`[data-person="U0BOB"][aria-pressed="true"]`))
	step("approve", chromedp.Click(`[data-action="approve"]`), chromedp.WaitVisible(".replies"), chromedp.Click(".replies"),
		chromedp.WaitVisible("#thread"), chromedp.WaitVisible("#replies .msg:nth-of-type(3)"), chromedp.Text("#replies", &ending),
		chromedp.WaitNotPresent(`#messages [data-action="approve"]`))
	if !strings.Contains(ending, "n3 holds no shard, approved by @bob") {
		t.Errorf("thread: %q", ending)
	}
	step("open the file in the thread", chromedp.WaitVisible("#replies .file"), chromedp.Text("#replies .file", &file),
		chromedp.AttributeValue("#replies .file", "href", &href, nil))
	if !strings.Contains(file, "refused.tsv") || !strings.Contains(file, "12 B") {
		t.Errorf("file: %q", file)
	}
	if resp, err := http.Get(base + "/sandbox/" + href); err != nil {
		t.Error(err)
	} else {
		content, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(content) != "doc-1\t<b>é\n" {
			t.Errorf("the link %s opens %q, %v", href, content, err)
		}
	}
	step("react and take it back",
		chromedp.Evaluate(`document.querySelector('#messages .msg [data-react="x"]').click()`, nil),
		chromedp.WaitVisible(`#messages [data-emoji="x"][aria-pressed="true"]`), chromedp.Click(`#messages [data-emoji="x"]`),
		chromedp.WaitNotPresent(`#messages [data-emoji="x"]`))
	step("reply in the thread", chromedp.SendKeys("#reply-text", "thanks @alice <b>\r"),
		chromedp.WaitVisible("#replies .mention:not(.me)"), chromedp.InnerHTML("#replies .msg:last-child .content", &markup))
	if !strings.Contains(markup, "&lt;b&gt;") {
		t.Errorf("markup: %s", markup)
	}
	step("reload keeps the place", chromedp.Reload(), chromedp.WaitVisible("#thread"), chromedp.WaitVisible(`[data-person="U0BOB"][aria-pressed="true"]`))
	step("close the thread", chromedp.KeyEvent("\x1b"), chromedp.WaitNotVisible("#thread"), chromedp.Text("#messages", &log),
		chromedp.Evaluate(`document.querySelector('[data-person="U0BOB"] .dot') !== null`, &unread),
		chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &hidden))
	if unread || hidden || !strings.Contains(log, "4 replies") {
		t.Errorf("own dot %v, wider than the window %v, log %q", unread, hidden, log)
	}
	for _, v := range w.Violations() {
		t.Errorf("violation: %s", v)
	}
}

// runApp is an app of a few lines: a command makes a card, its button two replies, a file and an edit.
func runApp(t *testing.T, base string, o slacksim.Options) {
	t.Helper()
	api := slack.New(o.BotToken, slack.OptionAppLevelToken(o.AppToken), slack.OptionAPIURL(base+"/api/"), slack.OptionHTTPClient(&http.Client{}))
	c := socketmode.New(api)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.RunContext(ctx)
	}()
	t.Cleanup(func() {
		cancel()
	})
	plain := func(s string) *slack.TextBlockObject { return slack.NewTextBlockObject("plain_text", s, false, false) }
	text := func(s string) slack.MsgOption { return slack.MsgOptionText(s, false) }
	go func() {
		for {
			var e socketmode.Event
			select {
			case e = <-c.Events:
			case <-ctx.Done():
				return
			}
			if e.Request != nil && e.Request.EnvelopeID != "" {
				_ = c.Ack(*e.Request)
			}
			switch d := e.Data.(type) {
			case slack.SlashCommand:
				_, _ = api.PostEphemeral(d.ChannelID, d.UserID, text("Taken: `"+d.Text+"`"))
				_, _, _ = api.PostMessage(d.ChannelID, text("drain n3"), slack.MsgOptionBlocks(
					slack.NewHeaderBlock(plain("Drain n3")),
					slack.NewActionBlock("votes", slack.NewButtonBlockElement("approve", "1", plain("Approve")))))
			case slack.InteractionCallback:
				in := slack.MsgOptionTS(d.Message.Timestamp)
				_, _, _ = api.PostMessage(d.Channel.ID, text("moving 3 shards"), in)
				_, _, _ = api.PostMessage(d.Channel.ID, text("n3 holds no shard, approved by <@"+d.User.ID+">"), in)
				const list = "doc-1\t<b>é\n"
				_, _ = api.UploadFile(slack.UploadFileParameters{Channel: d.Channel.ID, ThreadTimestamp: d.Message.Timestamp,
					Filename: "refused.tsv", FileSize: len(list), Content: list, InitialComment: "1 document was refused"})
				_, _, _, _ = api.UpdateMessage(d.Channel.ID, d.Message.Timestamp, text("drain n3: done"), slack.MsgOptionBlocks())
			}
		}
	}()
}
