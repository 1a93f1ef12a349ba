package indices

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"twokey/ops"
	"twokey/ops/elastic"
)

// pipelineName is what --pipeline takes: one exact name.
var pipelineName = regexp.MustCompile(`^[^\s,*?/\\]{1,255}$`)

// pipeline is an ingest pipeline that every document goes through on its way into the
// destination.
type pipeline struct {
	Description string           `json:"description"`
	Processors  []map[string]any `json:"processors"`
	sum         string           // of all of its definition
}

// pipeline reads a pipeline; one that would lose or move documents is refused, since no copy
// could be complete.
func (s Site) pipeline(ctx context.Context, name string) (pipeline, error) {
	var answer map[string]json.RawMessage
	err := s.Get(ctx, "/_ingest/pipeline/"+url.PathEscape(name), elastic.Query("master_timeout", "5s"), &answer)
	raw, there := answer[name]
	if elastic.IsStatus(err, http.StatusNotFound) || err == nil && !there {
		return pipeline{}, &ops.UserError{What: fmt.Sprintf("There is no ingest pipeline %s.", name), Next: "Make it first, or correct --pipeline."}
	}
	if err != nil {
		return pipeline{}, err
	}
	var p pipeline
	var all any
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("%w: pipeline %s: %v", elastic.ErrAnswer, name, err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return p, fmt.Errorf("%w: pipeline %s: %v", elastic.ErrAnswer, name, err)
	}
	canonical, err := json.Marshal(all)
	if err != nil {
		return p, err
	}
	sum := sha256.Sum256(canonical)
	p.sum = hex.EncodeToString(sum[:])
	if why := loses(p.Processors); why != "" {
		return p, &ops.UserError{What: fmt.Sprintf("Pipeline %s has %s: documents would be lost, or be others than they were.", name, why), Next: "Take that out of it, or use another."}
	}
	return p, nil
}

// loses names the first processor that drops documents, sends them elsewhere, or changes
// which document it is.
func loses(processors []map[string]any) string {
	for _, one := range processors {
		for kind, settings := range one {
			o, _ := settings.(map[string]any)
			switch field, _ := o["field"].(string); {
			case kind == "drop", kind == "reroute":
				return "a processor " + kind
			case slices.Contains([]string{"_id", "_index", "_routing", "_version", "_version_type"}, field), slices.Contains([]string{"_id", "_index", "_routing"}, fmt.Sprint(o["target_field"])):
				return fmt.Sprintf("a processor %s that writes %v", kind, strings.TrimSuffix(field+" "+fmt.Sprint(o["target_field"]), " <nil>"))
			}
			if inner, ok := o["processor"].(map[string]any); ok { // of foreach
				if why := loses([]map[string]any{inner}); why != "" {
					return why
				}
			}
		}
	}
	return ""
}

// text is the pipeline on a card.
func (p pipeline) text() string {
	var kinds []string
	for _, one := range p.Processors {
		kinds = append(kinds, slices.Sorted(maps.Keys(one))...)
	}
	text := fmt.Sprintf("%s: %s", elastic.Plural(int64(len(p.Processors)), "processor"), brief(kinds, 8))
	if p.Description != "" {
		text += "; " + p.Description
	}
	return text
}

// enriches reads the pipeline that the spec names, and seals what it is.
func (s Site) enriches(ctx context.Context, c *spec) (pipeline, error) {
	if c.Pipeline == "" {
		return pipeline{}, nil
	}
	p, err := s.pipeline(ctx, c.Pipeline)
	c.PipelineSum = p.sum
	return p, err
}

// enrichment is what people have to know of a copy through a pipeline.
func (c spec) enrichment() string {
	text := fmt.Sprintf("Pipeline %s changes documents: ids and versions are compared, and no contents; es swap-back does not change them back.", c.Pipeline)
	if c.Writes == writesDual {
		text += " What writers write to both meanwhile does not go through it."
	}
	return text
}

// sameEnrichment reports why the copy cannot be relied on: its pipeline is another by now,
// so that some documents went through the one and some through the other.
func (j *job) sameEnrichment(ctx context.Context) (progress, error) {
	if j.Pipeline == "" {
		return finished, nil
	}
	p, err := j.Site.pipeline(ctx, j.Pipeline)
	switch u := (*ops.UserError)(nil); {
	case errors.As(err, &u):
		return progress{failed: u.What}, nil
	case err != nil:
		return progress{}, err
	case p.sum != j.PipelineSum:
		return progress{failed: fmt.Sprintf("pipeline %s was changed since the approval: some documents went through the old one", j.Pipeline)}, nil
	}
	return finished, nil
}
