//go:build integration

package main

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestReindexInBrowser asks for the sandbox's reindex and its campaign, approves both as
// Bob, and watches their threads. With TWOKEY_SCREENSHOTS it leaves pictures.
func TestReindexInBrowser(t *testing.T) {
	p := openSandbox(t)
	const newest = `#messages li:last-child`
	p.step("r1-open", 20*time.Second, chromedp.Navigate(p.sandbox.workspace.URL()), chromedp.WaitVisible(".app-state.on"))
	p.step("r2-ask", 20*time.Second, chromedp.Click(`[data-try^="/ops es reindex"]`), chromedp.Click("#composer .send"), chromedp.WaitVisible(`[data-action="approve"]`))
	inOrder(t, "the card", p.text(newest), "Reindex products to products-v2 in staging", "R2", "Copies 4,000 documents", "Needs 1 approval", "Steps", "make products-v2", "move catalog to products-v2",
		"If it is cancelled", "Success leaves changed", "products-v2-refused", "Mapping", "price text → scaled_float", "Approve")
	p.step("r3-approve", 20*time.Second, as("U0BOB"), chromedp.Click(`[data-action="approve"]`), chromedp.WaitVisible(".replies"), chromedp.Click(".replies"), chromedp.WaitVisible("#thread"))
	p.step("r4-copying", 30*time.Second, says("#replies", "of 4,000 documents copied"))
	p.step("r5-file", time.Minute, says("#replies", "refused-products-v2.tsv"))
	p.step("r6-ending", time.Minute, says("#replies", "Done: Reindex products"), says(newest, "the other 7 are in products-v2-refused"))
	inOrder(t, "the thread", p.text("#replies"), "Done after", "Started", "Made products-v2", "Copied 3,993 documents", "7 documents of products do not fit", "products takes no writes", "Verified",
		"Moved to products-v2: alias catalog", "Done: Reindex products", "@alice", "Kept as planned", "alias catalog", "es delete-index products")

	p.step("r7-campaign", 20*time.Second, chromedp.Click("#close"), as("U0ALICE"), chromedp.SendKeys("#text", "/ops es campaign 'v1_*' --to 'v2_*' --throttle 150\r"),
		says(newest, "Campaign v1_*"), chromedp.WaitVisible(newest+` [data-action="approve"]`))
	p.step("r8-approve", 20*time.Second, as("U0BOB"), chromedp.Click(newest+` [data-action="approve"]`), chromedp.WaitVisible(newest+" .replies"), chromedp.Click(newest+" .replies"), chromedp.WaitVisible("#thread"))
	p.step("r9-table", time.Minute, says("#replies", "of 12 indices moved"), says("#replies", "in work, at most"))
	p.step("r10-ending", 2*time.Minute, says("#replies", "Done: Campaign v1_*"), says(newest, "12 of 12 indices moved"))
	inOrder(t, "the thread", p.text("#replies"), "Done after", "12 of 12 indices moved", "Started", "campaign.tsv", "Done: Campaign", "Kept as planned")
	for _, v := range p.sandbox.workspace.Violations() {
		t.Errorf("Slack would not have taken this: %s", v)
	}
}
