package bot

import (
	"errors"
	"fmt"
	"strings"

	"github.com/slack-go/slack"
)

// beginning is how much of a file stands in the post that takes its place.
const beginning = 1500

// renderWithoutFile is the post that takes the place of one with a file: the same text,
// why there is no file, and the file's first lines.
func renderWithoutFile(m Message, why string) Message {
	f := *m.File
	m.File = nil
	all := strings.Split(strings.TrimSuffix(f.Content, "\n"), "\n")
	note := fmt.Sprintf("%s (%d %s, %s) is not attached: %s.", code(clip(f.Name, 100)), len(all), plural(len(all), "line", "lines"), count(int64(len(f.Content)), "bytes"), why)
	m.Text = clip(m.Text, maxText-beginning-size(note)-20)
	if blocks, err := decodeBlocks(m.Blocks); err == nil {
		if len(blocks) == 0 {
			blocks = append(blocks, slack.NewSectionBlock(mrkdwn(m.Text), nil, nil))
		}
		m.Blocks = encodeBlocks(append(blocks, slack.NewSectionBlock(mrkdwn(note+"\n"+firstLines(all)), nil, nil)))
	}
	m.Text += "\n" + note + "\n" + firstLines(all)
	return m
}

// firstLines draws the lines that find room in fixed width, and counts the others.
func firstLines(all []string) string {
	const fence = "```"
	var b strings.Builder
	b.WriteString(fence + "\n")
	left := beginning - 60 // for the fences and the count
	for i, line := range all {
		line = clip(escape(strings.ReplaceAll(line, "`", "'")), 300) + "\n"
		if left -= size(line); left < 0 {
			return b.String() + fence + fmt.Sprintf("\n… and %d more %s", len(all)-i, plural(len(all)-i, "line", "lines"))
		}
		b.WriteString(line)
	}
	return b.String() + fence
}

// whyNoFile says what an error of an upload means to people.
func whyNoFile(err error) string {
	var said slack.SlackErrorResponse
	if !errors.As(err, &said) {
		return "it could not be uploaded (" + code(clip(redact(err.Error()), 200)) + ")"
	}
	switch said.Err {
	case "missing_scope":
		return "the app lacks the scope `files:write`; add it and install the app again"
	case "file_uploads_disabled":
		return "this workspace allows no uploads"
	case "storage_limit_reached":
		return "this workspace has no room left for files"
	case "file_upload_size_restricted":
		return "this workspace allows no file of its size"
	}
	return "Slack refused it (" + code(said.Err) + ")"
}
