package ops

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// newFile makes a file of content, cut to MaxFile.
func newFile(name, content string) *File {
	return &File{Name: name, Content: cut(strings.ToValidUTF8(content, "\uFFFD"), MaxFile)}
}

// cut shortens a text of lines to at most the given bytes, at the end of a line (or of a
// character, where the first line alone is longer), and says so in a last line.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	const room = 64 // for the last line
	kept := s[:most-room]
	for !utf8.RuneStart(s[len(kept)]) {
		kept = kept[:len(kept)-1]
	}
	if i := strings.LastIndexByte(kept, '\n'); i >= 0 {
		kept = kept[:i+1]
		return kept + fmt.Sprintf("… cut here: %d more lines\n", lines(s[len(kept):]))
	}
	return kept + fmt.Sprintf("\n… cut here: %d more bytes\n", len(s)-len(kept))
}

// lines counts the lines of a text, whether or not the last is ended.
func lines(s string) int {
	n := strings.Count(s, "\n")
	if s != "" && !strings.HasSuffix(s, "\n") {
		n++
	}
	return n
}
