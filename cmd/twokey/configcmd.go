package main

import (
	"errors"
	"fmt"
	"os"

	"twokey/ops/elastic/indices"
)

// configCheckCmd reports all mistakes of a configuration at once, then those of its campaign
// files, and what is allowed in it but perhaps not meant.
type configCheckCmd struct {
	File string `arg:"" optional:"" help:"The configuration file." env:"TWOKEY_CONFIG" default:"twokey.yaml"`
}

func (c configCheckCmd) Run() error {
	config, err := LoadConfig(c.File)
	if err != nil {
		return err
	}
	if err := errors.Join(config.CheckEnvironment(os.LookupEnv)...); err != nil {
		return err
	}
	if err := errors.Join(checkCampaigns(config)...); err != nil {
		return err
	}
	for _, w := range config.Warnings() {
		fmt.Println("warning:", w)
	}
	fmt.Printf("%s is right: %d environments\n", c.File, len(config.Environments))
	return nil
}

// checkCampaigns reports the mistakes of all campaign files. They do not keep the bot from
// starting: whoever names such a file in a command is told.
func checkCampaigns(c Config) []error {
	var errs []error
	for _, name := range c.EnvironmentNames() {
		es := c.Environments[name].Elasticsearch
		if es == nil || es.Campaigns == "" {
			continue
		}
		campaigns, err := indices.Campaigns(es.Campaigns)
		if err != nil {
			errs = append(errs, fmt.Errorf("environment %s: %w", name, err))
		}
		for _, campaign := range campaigns {
			if _, err := indices.LoadCampaign(es.Campaigns, campaign); err != nil {
				errs = append(errs, fmt.Errorf("environment %s: %w", name, err))
			}
		}
	}
	return errs
}

// manifestCmd prints the Slack app's manifest. Without a file it is the one of the
// defaults.
type manifestCmd struct {
	File string `arg:"" optional:"" help:"The configuration file, for the name of the slash command."`
	URL  string `help:"Public base URL, for HTTP. Without it: Socket Mode." name:"url"`
}

func (c manifestCmd) Run() error {
	config := Config{Slack: SlackConfig{Command: "/ops"}}
	if c.File != "" {
		var err error
		if config, err = LoadConfig(c.File); err != nil {
			return err
		}
	}
	b, err := Manifest(config, c.URL == "", c.URL)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(b)
	return err
}
