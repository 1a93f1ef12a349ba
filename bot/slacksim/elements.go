package slacksim

import (
	"fmt"
	"slices"
	"strings"
)

// element checks an interactive element; ids are the action_ids of its block so far.
func (c *checker) element(at string, o object, ids map[string]bool) {
	if id := c.str(at, o, "action_id", idMost); id != "" {
		if ids[id] {
			c.fail(at+"/action_id", "`action_id` already exists")
		}
		ids[id] = true
	}
	switch kind, _ := o["type"].(string); kind {
	case "button":
		c.fields(at, o, "text", "action_id value url style confirm accessibility_label")
		c.text(at, o, "text", "plain_text", 75)
		c.str(at, o, "value", 2000)
		c.str(at, o, "url", 3000)
		c.str(at, o, "accessibility_label", 75)
		c.oneOf(at, o, "style", "primary", "danger")
		c.confirm(at, o)
	case "static_select":
		c.fields(at, o, "options", "action_id placeholder initial_option confirm focus_on_load")
		c.text(at, o, "placeholder", "plain_text", 150)
		c.options(at, o, 100)
		c.confirm(at, o)
	case "overflow":
		c.fields(at, o, "options", "action_id confirm")
		c.options(at, o, 5)
		c.confirm(at, o)
	default:
		c.fail(at+"/type", "unsupported type: %s", kind)
	}
}

func (c *checker) oneOf(at string, o object, key string, values ...string) {
	if v, ok := o[key]; ok {
		if s, _ := v.(string); !slices.Contains(values, s) {
			c.fail(at+"/"+key, "must be one of %s", strings.Join(values, ", "))
		}
	}
}

func (c *checker) options(at string, o object, most int) {
	for i, opt := range c.list(at, o, "options", 1, most) {
		oat := fmt.Sprintf("%s/options/%d", at, i)
		c.fields(oat, opt, "text value", "description url")
		c.text(oat, opt, "text", "", 75)
		c.str(oat, opt, "value", 150)
		c.text(oat, opt, "description", "", 75)
	}
}

func (c *checker) confirm(at string, o object) {
	if o["confirm"] == nil {
		return
	}
	d, ok := o["confirm"].(object)
	at += "/confirm"
	if !ok {
		c.fail(at, "must be an object")
		return
	}
	c.fields(at, d, "title text", "confirm deny style")
	c.text(at, d, "title", "plain_text", 100)
	c.text(at, d, "text", "", 300)
	c.text(at, d, "confirm", "plain_text", 30)
	c.text(at, d, "deny", "plain_text", 30)
	c.oneOf(at, d, "style", "primary", "danger")
}

// richText checks the outer elements only.
func (c *checker) richText(at string, o object) {
	for i, e := range c.list(at, o, "elements", 0, 0) {
		c.oneOf(fmt.Sprintf("%s/elements/%d", at, i), e, "type",
			"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
		c.list(fmt.Sprintf("%s/elements/%d", at, i), e, "elements", 0, 0)
	}
}

func (c *checker) table(at string, o object) {
	c.fields(at, o, "rows", "block_id column_settings")
	rows, _ := o["rows"].([]any)
	if len(rows) == 0 || len(rows) > 100 {
		c.fail(at+"/rows", "wants 1 to 100 rows")
	}
	for i, r := range rows {
		cells, _ := r.([]any)
		if len(cells) == 0 || len(cells) > 20 {
			c.fail(fmt.Sprintf("%s/rows/%d", at, i), "wants 1 to 20 cells")
		}
		for j, cell := range cells {
			cat := fmt.Sprintf("%s/rows/%d/%d", at, i, j)
			switch cell, _ := cell.(object); cell["type"] {
			case "raw_text":
				c.fields(cat, cell, "text", "")
				c.str(cat, cell, "text", 0)
			case "rich_text":
				c.richText(cat, cell)
			default:
				c.fail(cat+"/type", "must be raw_text or rich_text")
			}
		}
	}
}

func (c *checker) taskCard(at string, o object) {
	c.fields(at, o, "task_id title", "block_id status details output sources hide_title")
	if o["type"] != "task_card" {
		c.fail(at+"/type", "must be task_card")
	}
	c.str(at, o, "task_id", idMost)
	c.str(at, o, "title", 0)
	c.oneOf(at, o, "status", "pending", "in_progress", "complete", "error")
	for _, key := range []string{"details", "output"} {
		if r, ok := o[key].(object); ok {
			c.richText(at+"/"+key, r)
		} else if o[key] != nil {
			c.fail(at+"/"+key, "must be a rich_text block")
		}
	}
	for i, s := range c.list(at, o, "sources", 0, 0) {
		c.fields(fmt.Sprintf("%s/sources/%d", at, i), s, "url text", "")
	}
}
