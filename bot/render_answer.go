package bot

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"twokey/commands"
	"twokey/ops"
)

// renderAnswer shows what a query found out. text alone says the essential too.
func renderAnswer(a ops.Answer) (text string, blocks []slack.Block) {
	var l layout
	title := clip(escape(a.Title), 1000)
	head := bold(title)
	for _, line := range a.Lines {
		head += "\n" + clip(escape(line), 1000)
	}
	for _, part := range split(head, maxSection) {
		l.section(part)
	}
	if a.Table != nil {
		for _, part := range renderTable(*a.Table) {
			l.section(part)
		}
	}
	return title, l.done()
}

// tableRoom is what the texts of one answer's table may take up.
const tableRoom = 9000

// amount is a cell that people compare by its last digit; such columns stand to the right.
var amount = regexp.MustCompile(`^[0-9][0-9.,]*( ?([kMGTPE]?B|%))?$`)

// amounts reports whether all cells below the head are amounts or say that there is none.
func amounts(rows [][]string, column int) bool {
	some := false
	for _, r := range rows[1:] {
		switch c := r[column]; {
		case amount.MatchString(c):
			some = true
		case c != "" && c != "-" && c != "unknown":
			return false
		}
	}
	return some
}

// renderTable draws a table in fixed width, in parts that each fit a section. Rows
// that find no room are counted. Cells wider than 60 runes are cut.
func renderTable(t ops.Table) []string {
	width := make([]int, len(t.Columns))
	cells := func(row []string) []string {
		out := make([]string, len(t.Columns))
		for i := range out {
			if i < len(row) {
				out[i] = cell(row[i])
			}
			width[i] = max(width[i], utf8.RuneCountInString(out[i]))
		}
		return out
	}
	rows := [][]string{cells(t.Columns)}
	for _, r := range t.Rows {
		rows = append(rows, cells(r))
	}
	right := make([]bool, len(t.Columns))
	for i := range right {
		right[i] = amounts(rows, i)
	}
	line := func(row []string) string {
		var b strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if right[i] {
				c = pad + c
			} else {
				c += pad
			}
			b.WriteString(c + "  ")
		}
		return escape(strings.TrimRight(b.String(), " ")) + "\n"
	}
	const fence = "```"
	var parts []string
	part, total := "", 0
	for i, r := range rows {
		next := line(r)
		if total += size(next); total > tableRoom {
			part += fmt.Sprintf("… and %d more\n", len(rows)-i)
			break
		}
		if size(part)+size(next) > maxSection-100 {
			parts = append(parts, fence+"\n"+part+fence)
			part = line(rows[0])
			total += size(part)
		}
		part += next
	}
	return append(parts, fence+"\n"+part+fence)
}

// cell makes a value one short line that cannot end the fence around it.
func cell(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, "`", "'")), " ")
	if utf8.RuneCountInString(s) > 60 {
		s = string([]rune(s)[:59]) + "…"
	}
	return s
}

// split cuts text at line ends into parts of at most limit units.
func split(text string, limit int) []string {
	var parts []string
	part := ""
	for _, line := range strings.SplitAfter(text, "\n") {
		if part != "" && size(part)+size(line) > limit {
			parts, part = append(parts, strings.TrimSuffix(part, "\n")), ""
		}
		part += line
	}
	return append(parts, part)
}

// renderPage shows a page of help.
func renderPage(p commands.Page) (text string, blocks []slack.Block) {
	var l layout
	title := clip(escape(p.Title), 1000)
	head := bold(title)
	if p.Usage != "" {
		head += "\n" + code(p.Usage)
	}
	for _, t := range p.Text {
		head += "\n" + escape(t)
	}
	for _, part := range split(head, maxSection) {
		l.section(part)
	}
	var rows, examples []string
	for _, r := range p.Rows {
		if r.Term == "" {
			if len(rows) > 0 {
				rows = append(rows, "")
			}
			rows = append(rows, "*"+escape(r.Meaning)+"*")
			continue
		}
		rows = append(rows, code(r.Term)+"  "+escape(r.Meaning))
	}
	for _, e := range p.Examples {
		examples = append(examples, code(e))
	}
	for _, part := range split(strings.Join(rows, "\n"), maxSection) {
		l.section(part)
	}
	if len(examples) > 0 {
		for _, part := range split("*Examples*\n"+strings.Join(examples, "\n"), maxSection) {
			l.section(part)
		}
	}
	return title, l.done()
}

// code shows text as it is typed.
func code(s string) string { return "`" + escape(strings.ReplaceAll(s, "`", "'")) + "`" }
