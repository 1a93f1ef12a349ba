package slacksim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of messages' blocks, in characters or items. Slack's block reference pages.
const (
	blocksMost   = 50
	idMost       = 255
	sectionMost  = 3000
	fieldMost    = 2000
	fieldsMost   = 10
	headerMost   = 150
	elementsMost = 25
	contextMost  = 10
	markdownMost = 12_000
	// blocksTotal is the characters of all blocks of a chat.postMessage together. Undocumented:
	// reports name 13,200, and once 11,341 (bolt-js issues 2509 and 2867).
	blocksTotal = 11_300
)

// object is one JSON object being checked.
type object = map[string]any

// checker collects what is wrong, in Slack's words.
type checker struct {
	errs     []string
	blockIDs map[string]bool
	markdown int
	kinds    map[string]int
}

func (c *checker) fail(at, format string, args ...any) {
	c.errs = append(c.errs, "[ERROR] "+fmt.Sprintf(format, args...)+" [json-pointer:"+at+"]")
}

// checkBlocks validates the blocks of a message and returns them with the missing
// block_ids filled in as Slack does. An empty array gives nil.
func checkBlocks(raw string) (json.RawMessage, *apiError) {
	var list []any
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		return nil, blame("invalid_blocks_format", "blocks are not a JSON array: %v", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	c := &checker{blockIDs: map[string]bool{}, kinds: map[string]int{}}
	if len(list) > blocksMost {
		c.fail("/blocks", "no more than %d items allowed", blocksMost)
	}
	for i, b := range list {
		at := fmt.Sprintf("/blocks/%d", i)
		if o, ok := b.(object); ok {
			c.block(at, o)
		} else {
			c.fail(at, "must be an object")
		}
	}
	if c.markdown > markdownMost {
		c.fail("/blocks", "markdown blocks have %d characters together, at most %d", c.markdown, markdownMost)
	}
	if c.kinds["plan"] > 0 && c.kinds["task_card"] > 0 {
		c.fail("/blocks", "plan and task_card blocks exclude each other")
	}
	if c.kinds["table"] > 1 {
		return nil, blame("only_one_table_allowed", "%d tables", c.kinds["table"])
	}
	if c.errs != nil {
		return nil, &apiError{code: "invalid_blocks", messages: c.errs, bug: strings.Join(c.errs, "; ")}
	}
	for i, b := range list {
		if o := b.(object); o["block_id"] == nil {
			o["block_id"] = fmt.Sprintf("b%04x", i+1)
		}
	}
	return rawJSON(list), nil
}

// fields checks that an object has its required fields and no others.
func (c *checker) fields(at string, o object, required, optional string) {
	need := strings.Fields(required)
	for _, k := range need {
		if o[k] == nil {
			c.fail(at, "missing required field: %s", k)
		}
	}
	known := append(append(need, strings.Fields(optional)...), "type")
	for _, k := range slices.Sorted(maps.Keys(o)) {
		if !slices.Contains(known, k) {
			c.fail(at, "invalid additional property: %s", k)
		}
	}
}

// str checks a string field, absent allowed, of 1 to most characters (0: no limit).
func (c *checker) str(at string, o object, key string, most int) string {
	v, ok := o[key]
	if !ok || v == nil {
		return ""
	}
	s, ok := v.(string)
	at += "/" + key
	switch n := utf8.RuneCountInString(s); {
	case !ok:
		c.fail(at, "must be a string")
	case n == 0:
		c.fail(at, "must be more than 0 characters")
	case most > 0 && n > most:
		c.fail(at, "must be less than %d characters", most+1)
	}
	return s
}

// list checks an array field of least to most objects and returns them.
func (c *checker) list(at string, o object, key string, least, most int) []object {
	v, ok := o[key]
	if !ok {
		return nil
	}
	items, ok := v.([]any)
	at += "/" + key
	if !ok {
		c.fail(at, "must be an array")
		return nil
	}
	if len(items) < least {
		c.fail(at, "no fewer than %d items allowed", least)
	}
	if most > 0 && len(items) > most {
		c.fail(at, "no more than %d items allowed", most)
	}
	var os []object
	for i, it := range items {
		if o, ok := it.(object); ok {
			os = append(os, o)
		} else {
			c.fail(fmt.Sprintf("%s/%d", at, i), "must be an object")
			os = append(os, object{})
		}
	}
	return os
}

func (c *checker) block(at string, o object) {
	kind, _ := o["type"].(string)
	c.kinds[kind]++
	if id := c.str(at, o, "block_id", idMost); id != "" {
		if c.blockIDs[id] {
			c.fail(at+"/block_id", "`block_id` already exists")
		}
		c.blockIDs[id] = true
	}
	switch kind {
	case "section":
		c.section(at, o)
	case "header":
		c.fields(at, o, "text", "block_id level")
		c.text(at, o, "text", "plain_text", headerMost)
	case "divider":
		c.fields(at, o, "", "block_id")
	case "context":
		c.fields(at, o, "elements", "block_id")
		for i, e := range c.list(at, o, "elements", 1, contextMost) {
			el := fmt.Sprintf("%s/elements/%d", at, i)
			if e["type"] == "image" {
				c.image(el, e)
			} else {
				c.textObject(el, e, "", 0)
			}
		}
	case "actions":
		c.fields(at, o, "elements", "block_id")
		ids := map[string]bool{}
		for i, e := range c.list(at, o, "elements", 1, elementsMost) {
			c.element(fmt.Sprintf("%s/elements/%d", at, i), e, ids)
		}
	case "image":
		c.fields(at, o, "alt_text", "block_id image_url slack_file title")
		c.str(at, o, "image_url", 3000)
		c.str(at, o, "alt_text", 2000)
		c.text(at, o, "title", "plain_text", 2000)
	case "markdown":
		c.fields(at, o, "text", "block_id")
		c.markdown += utf8.RuneCountInString(c.str(at, o, "text", 0))
	case "rich_text":
		c.fields(at, o, "elements", "block_id")
		c.richText(at, o)
	case "table":
		c.table(at, o)
	case "plan":
		c.fields(at, o, "title", "block_id tasks")
		c.str(at, o, "title", 0)
		for i, t := range c.list(at, o, "tasks", 0, 50) {
			c.taskCard(fmt.Sprintf("%s/tasks/%d", at, i), t)
		}
	case "task_card":
		c.taskCard(at, o)
	default:
		c.fail(at+"/type", "unsupported type: %s", kind)
	}
}

func (c *checker) section(at string, o object) {
	c.fields(at, o, "", "block_id text fields accessory expand")
	if o["text"] == nil && o["fields"] == nil {
		c.fail(at, "missing required field: text")
	}
	c.text(at, o, "text", "", sectionMost)
	for i, f := range c.list(at, o, "fields", 1, fieldsMost) {
		c.textObject(fmt.Sprintf("%s/fields/%d", at, i), f, "", fieldMost)
	}
	switch a, ok := o["accessory"].(object); {
	case o["accessory"] == nil:
	case !ok:
		c.fail(at+"/accessory", "must be an object")
	case a["type"] == "image":
		c.image(at+"/accessory", a)
	default:
		c.element(at+"/accessory", a, map[string]bool{})
	}
}

func (c *checker) image(at string, o object) {
	c.fields(at, o, "image_url alt_text", "")
	c.str(at, o, "image_url", 3000)
	c.str(at, o, "alt_text", 2000)
}

// text checks a field holding a text object; kind "" allows both kinds.
func (c *checker) text(at string, o object, key, kind string, most int) {
	switch t, ok := o[key].(object); {
	case ok:
		c.textObject(at+"/"+key, t, kind, most)
	case o[key] != nil:
		c.fail(at+"/"+key, "must be an object")
	}
}

func (c *checker) textObject(at string, t object, kind string, most int) {
	c.fields(at, t, "text", "emoji verbatim")
	got, _ := t["type"].(string)
	switch {
	case got != "plain_text" && got != "mrkdwn":
		c.fail(at+"/type", "must be plain_text or mrkdwn")
	case kind != "" && got != kind:
		c.fail(at+"/type", "must be %s", kind)
	case got == "mrkdwn" && t["emoji"] == true:
		c.fail(at, "invalid additional property: emoji")
	case got == "plain_text" && t["verbatim"] == true:
		c.fail(at, "invalid additional property: verbatim")
	}
	c.str(at, t, "text", most)
}

// textIn counts the characters of every text of the blocks.
func textIn(blocks json.RawMessage) int {
	var v any
	if blocks == nil || json.Unmarshal(blocks, &v) != nil {
		return 0
	}
	n := 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case object:
			for k, e := range v {
				if s, ok := e.(string); ok && (k == "text" || k == "title") {
					n += utf8.RuneCountInString(s)
				} else {
					walk(e)
				}
			}
		}
	}
	walk(v)
	return n
}
