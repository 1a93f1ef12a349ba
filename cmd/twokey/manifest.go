package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// What the bot asks of Slack.
var (
	botScopes = []string{
		"app_mentions:read", // commands given by mention
		"channels:history",  // whether the bot is in a public channel, and to find a post whose answer was lost
		"chat:write",
		"commands",
		"files:write",    // lists too long for a message, as files in the thread
		"groups:history", // as channels:history, in private channels
		"im:history",     // commands given in a DM
		"im:write",
		"reactions:read",  // votes
		"usergroups:read", // who may approve
		"users:read",      // who somebody is: home workspace, guest, bot, deactivated
	}
	botEvents = []string{"app_mention", "message.im", "reaction_added", "reaction_removed"}
)

// Manifest returns the Slack app manifest for c, as JSON, which Slack takes as well as
// YAML. In Socket Mode base is not used; else it is the public URL under which
// the bot's /slack/… routes are, https://host[/path].
func Manifest(c Config, socketMode bool, base string) ([]byte, error) {
	type object = map[string]any
	command := object{
		"command":       c.Slack.Command,
		"description":   "Operations that need two people",
		"usage_hint":    "help",
		"should_escape": true, // or mentions and channels arrive as plain names
	}
	events := object{"bot_events": botEvents}
	interactivity := object{"is_enabled": true}
	if !socketMode {
		u, err := url.Parse(base)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("manifest: without Socket Mode Slack needs the bot's public address, like https://ops.example.com")
		}
		base = strings.TrimSuffix(base, "/")
		command["url"] = base + "/slack/commands"
		events["request_url"] = base + "/slack/events"
		interactivity["request_url"] = base + "/slack/interactions"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"display_information": object{
			"name":        "Twokey",
			"description": "Operations that need two people: one asks, another agrees.",
		},
		"features": object{
			"app_home": object{
				"home_tab_enabled":               false,
				"messages_tab_enabled":           true,
				"messages_tab_read_only_enabled": false, // or nobody can write it a DM
			},
			"bot_user":       object{"display_name": "twokey", "always_online": true},
			"slash_commands": []object{command},
		},
		"oauth_config": object{"scopes": object{"bot": botScopes}},
		"settings": object{
			"event_subscriptions":    events,
			"interactivity":          interactivity,
			"socket_mode_enabled":    socketMode,
			"org_deploy_enabled":     false,
			"token_rotation_enabled": false,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return b.Bytes(), nil
}
