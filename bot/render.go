package bot

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

// Slack's limits, from its documentation or (marked) from reports. A message that
// breaks one is refused as a whole, so everything here stays below them.
const (
	maxBlocks  = 50
	maxSection = 3000  // one text object (reported)
	maxText    = 4000  // the text argument of chat.update and chat.postEphemeral
	maxSummed  = 11000 // all texts of a message: msg_blocks_too_long came from 11,341 up (reported)
)

// layout collects the blocks of one message within Slack's limits. What does not
// fit is left out, and the message says so.
type layout struct {
	blocks []slack.Block
	used   int
	cut    bool
}

// section adds a block of mrkdwn; an empty text adds none.
func (l *layout) section(text string) {
	if text = clip(text, maxSection); l.fits(text) {
		l.blocks = append(l.blocks, slack.NewSectionBlock(mrkdwn(text), nil, nil))
	}
}

// context adds a block of small print.
func (l *layout) context(text string) {
	if text = clip(text, maxSection); l.fits(text) {
		l.blocks = append(l.blocks, slack.NewContextBlock("", mrkdwn(text)))
	}
}

// add adds a block that was made elsewhere and whose texts are short.
func (l *layout) add(b slack.Block) {
	if len(l.blocks) < maxBlocks {
		l.blocks = append(l.blocks, b)
	}
}

// reserve is kept free of sections for what a message must end with: the line that
// says it was cut, and buttons.
const reserve = 400

func (l *layout) fits(text string) bool {
	switch {
	case text == "":
		return false
	case l.cut || len(l.blocks) >= maxBlocks-3 || l.used+size(text) > maxSummed-reserve:
		l.cut = true
		return false
	}
	l.used += size(text)
	return true
}

// done returns the blocks.
func (l *layout) done() []slack.Block {
	if l.cut {
		l.cut = false
		l.add(slack.NewContextBlock("", mrkdwn("… there is more than Slack shows in one message.")))
	}
	return l.blocks
}

func mrkdwn(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, false)
}

// encodeBlocks makes what Message.Blocks holds.
func encodeBlocks(blocks []slack.Block) json.RawMessage {
	if blocks == nil {
		blocks = []slack.Block{}
	}
	b, err := json.Marshal(blocks)
	if err != nil {
		panic(err) // texts and buttons made here always encode
	}
	return b
}

// size counts as Slack does at worst: UTF-16 units.
func size(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// clip cuts escaped text to limit units and ends it with "…". It never ends inside a
// token or an entity, which would show as garbage or, worse, as another token.
func clip(s string, limit int) string {
	if size(s) <= limit {
		return s
	}
	n, safe, open, entity := 0, 0, false, false
	for i, r := range s {
		if !open && !entity {
			safe = i
		}
		switch {
		case r == '<':
			open = true
		case r == '>':
			open = false
		case r == '&':
			entity = true
		case r == ';':
			entity = false
		}
		n++
		if r > 0xffff {
			n++
		}
		if n >= limit {
			break
		}
	}
	return s[:safe] + "…"
}

// bullets lists items, each escaped and at most 300 units, below a bold head, within
// limit units; what does not fit is counted: "… and 213 more". No items: "".
func bullets(head string, items []string, limit int) string {
	return lines(head, items, limit, func(int) string { return "• " })
}

// numbered is bullets with numbers from 1.
func numbered(head string, items []string, limit int) string {
	return lines(head, items, limit, func(i int) string { return fmt.Sprintf("%d. ", i+1) })
}

func lines(head string, items []string, limit int, mark func(i int) string) string {
	if len(items) == 0 {
		return ""
	}
	var b strings.Builder
	if head != "" {
		b.WriteString("*" + head + "*\n")
	}
	left := limit - size(head) - 30 // room for "… and 1234567 more"
	for i, item := range items {
		line := mark(i) + clip(escape(strings.TrimSpace(item)), 300) + "\n"
		if left -= size(line); left < 0 {
			fmt.Fprintf(&b, "… and %s more", thousands(fmt.Sprint(len(items)-i)))
			break
		}
		b.WriteString(line)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// mostNames is how many names a row shows of more than that.
const mostNames = 20

// row lists short names in one line after a bold head, within limit units. Where it does
// not show all, the head says how many there are.
func row(head string, names []string, limit int) string {
	if len(names) == 0 {
		return ""
	}
	var shown []string
	left := limit - size(head) - 40
	for _, name := range names {
		word := clip(escape(name), 200)
		if left -= size(word) + 2; left < 0 || len(shown) == mostNames {
			all, more := thousands(fmt.Sprint(len(names))), thousands(fmt.Sprint(len(names)-len(shown)))
			return fmt.Sprintf("*%s* (%s) %s … and %s more", head, all, strings.Join(shown, ", "), more)
		}
		shown = append(shown, word)
	}
	return fmt.Sprintf("*%s* %s", head, strings.Join(shown, ", "))
}

// span says how long something takes: "40 s", "3 min", "1 h 20 min", "2 d 3 h".
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 24*time.Hour:
		return two(d.Round(time.Minute), time.Hour, "h", time.Minute, "min")
	}
	return two(d.Round(time.Hour), 24*time.Hour, "d", time.Hour, "h")
}

func two(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	if rest := d % big / small; rest > 0 {
		return fmt.Sprintf("%d %s %d %s", d/big, bigName, rest, smallName)
	}
	return fmt.Sprintf("%d %s", d/big, bigName)
}

// spans is a range of two durations; both zero: "unknown".
func spans(low, high time.Duration) string {
	switch {
	case high <= 0:
		return "unknown"
	case span(low) == span(high):
		return "about " + span(high)
	}
	return span(low) + " to " + span(high)
}

// count writes a number with its unit; bytes in units people read.
func count(n int64, unit string) string {
	if unit != "bytes" {
		return strings.TrimSpace(fmt.Sprintf("%d %s", n, unit))
	}
	const names = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1000, 0
	for v >= 1000 && i < len(names)-1 {
		v, i = v/1000, i+1
	}
	return fmt.Sprintf("%.1f %cB", v, names[i])
}
