package commands

import (
	"strings"
	"testing"
	"unicode"
)

func TestDecode(t *testing.T) {
	tests := []struct{ name, sent, want string }{
		{"date", "<!date^1392734382^{date_short}|18 Feb> <!date^1>", "18 Feb <!date^1>"},
		{"phone", "<tel:+4930123|030123> <tel:+4930123>", "030123 +4930123"},
		{"empty label", "<http://a.example|>", "http://a.example"},
		{"entities in a label", "<http://a.example|a&amp;b>", "a&b"},
		{"decoded once", "&amp;amp; &amp;lt;@U1&amp;gt;", "&amp; &lt;@U1&gt;"},
		{"typed markup stays text", "&lt;@U1&gt;", "<@U1>"},
		{"never closed", "<http://a.example", "<http://a.example"},
		{"nested", "<<@U1>>", "<@U1>"},
		{"lower-case id", "<@bob>", "<@bob>"},
		{"nothing inside", "<> <@> <|x>", "<> <@> <|x>"},
		{"not UTF-8", "n\xff3", "n\uFFFD3"},
		{"direction marks", "n\u202e3\u2066", "n3"},
		{"control characters", "a\x00b\tc", "a b c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := decode(tt.sent); got != tt.want {
				t.Errorf("decode(%q) = %q, want %q", tt.sent, got, tt.want)
			}
		})
	}
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape writes plain text the way Slack sends it.
func escape(s string) string { return escaper.Replace(s) }

func FuzzLex(f *testing.F) {
	f.Add("es drain “n 3” --env=\"a b\" `x` 'y z' don't —")
	f.Add("<http://a|b> &lt; \"\\\\\" \u00a0 <@U1|x>")
	f.Fuzz(func(t *testing.T, sent string) {
		for _, w := range lex(decode(sent)) {
			for _, r := range w.text + w.raw {
				if r != ' ' && (unicode.IsSpace(r) || unicode.IsControl(r)) {
					t.Errorf("lex(%q): %q holds %U", sent, w.text, r)
				}
			}
			if !w.quoted && strings.TrimSpace(w.text) == "" {
				t.Errorf("lex(%q): a word without text", sent)
			}
			if again := lex(decode(escape(quote(w.text)))); len(again) != 1 || again[0].text != w.text || again[0].dashed() {
				t.Errorf("quote(%q) = %q reads back as %+v", w.text, quote(w.text), again)
			}
		}
	})
}
