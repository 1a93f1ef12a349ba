package indices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// unfit sees to the documents that the destination does not take. People are told of them;
// unless they go to quarantine, a person is asked, and after the resume they are tried
// again. It is done when there are none, or they may be put aside.
func (j *job) unfit(ctx context.Context) (progress, error) {
	if j.Asked && !j.Quarantine && len(j.Refused) > 0 {
		j.Asked, j.Trying = false, len(j.Refused)
		if err := j.forgetRefused(ctx); err != nil {
			return progress{}, err
		}
		for i := range j.Refused {
			j.Refused[i].Again = true
		}
	}
	if j.Trying > 0 {
		if over, err := j.tryAgain(ctx); err != nil || !over {
			return waiting(soon), errors.Join(err, j.save(ctx))
		}
	}
	if len(j.Refused) == 0 {
		return finished, nil
	}
	if j.Told != len(j.Refused) {
		j.Told = len(j.Refused)
		j.attach("refused-"+j.Dest+".tsv", j.refusedFile(), "%s of %s do not fit the mapping of %s; the first: %s.",
			documents(int64(len(j.Refused))), j.Source, j.Dest, first(j.Refused))
		if err := j.save(ctx); err != nil {
			return progress{}, err
		}
	}
	if j.Quarantine {
		return finished, nil
	}
	j.Asked = true
	if j.Back {
		return progress{blocked: fmt.Sprintf("%s of %s do not fit the mapping of %s (see the file). Nobody moves back while documents are missing. Correct the mapping of %s, or the documents (%s), and resume; or cancel, and readers and writers stay on %s.",
			documents(int64(len(j.Refused))), j.Source, j.Dest, j.Dest, j.toCorrect(), j.Source)}, j.save(ctx)
	}
	return progress{blocked: fmt.Sprintf("%s of %s do not fit the mapping of %s (see the file). Aliases do not move while documents are missing. Correct the documents, or the mapping, and resume; or cancel, and ask again with --quarantine to put them aside in %s.",
		documents(int64(len(j.Refused))), j.Source, j.Dest, j.refusedIndex())}, j.save(ctx)
}

// tryAgain copies refused documents once more, and reports whether that was done for all.
func (j *job) tryAgain(ctx context.Context) (bool, error) {
	for {
		var some []document
		for _, r := range j.Refused {
			if r.Again && len(some) < j.handful() {
				some = append(some, document{ID: r.ID, Routing: r.Routing})
			}
		}
		if len(some) == 0 {
			break
		}
		if j.over(ctx) {
			return false, nil
		}
		if err := j.copyThem(ctx, &comparison{}, some); err != nil {
			return false, err
		}
		tried := make(map[string]bool, len(some))
		for _, d := range some {
			tried[d.ID] = true
		}
		for i := range j.Refused {
			if tried[j.Refused[i].ID] {
				j.Refused[i].Again = false
			}
		}
	}
	if less := j.Trying - len(j.Refused); less > 0 {
		j.say("%d of %d refused documents fit now, or are gone.", less, j.Trying)
		j.Verified, j.How, j.Compare, j.Told = 0, "", nil, 0
		j.Compared = j.Compared && j.versions()
	}
	j.Trying = 0
	return true, nil
}

// handful is how many documents are dealt with at once, one by one.
func (j *job) handful() int { return min(j.batch(), 500) }

// toCorrect says how documents are corrected that a way back found not to fit.
func (j *job) toCorrect() string {
	if j.Writes == writesDual {
		return "in both"
	}
	return fmt.Sprintf("lift index.blocks.write of %s for that", j.Source)
}

func (j *job) refusedDocs() []document {
	docs := make([]document, 0, len(j.Refused))
	for _, r := range j.Refused {
		docs = append(docs, document{ID: r.ID, Routing: r.Routing})
	}
	return docs
}

// forgetGone forgets refused documents that the source does not have any more, and before a
// comparison those put aside that it has again.
func (j *job) forgetGone(ctx context.Context) error {
	if j.Compare != nil || j.versions() && j.How != "" {
		return nil // looked at before that began
	}
	if err := j.indexedSince(ctx); err != nil {
		return err
	}
	return j.forgetRefused(ctx)
}

func (j *job) forgetRefused(ctx context.Context) error {
	if len(j.Refused) == 0 {
		return nil
	}
	gone, err := j.missingIn(ctx, j.Source, j.refusedDocs())
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(gone))
	for _, d := range gone {
		ids = append(ids, d.ID)
	}
	j.refuse(nil, ids)
	return nil
}

func first(all []refusal) string {
	r := slices.MinFunc(all, func(a, b refusal) int { return compareText(a.ID, b.ID) })
	if r.Field != "" {
		return fmt.Sprintf("%s, field %s: %s", r.ID, r.Field, r.Reason)
	}
	return fmt.Sprintf("%s: %s", r.ID, r.Reason)
}

// refusedFile lists the refused documents, a line each, by id.
func (j *job) refusedFile() string {
	all := slices.SortedFunc(slices.Values(j.Refused), func(a, b refusal) int { return compareText(a.ID, b.ID) })
	var b strings.Builder
	b.WriteString("id\trouting\tfield\treason\n")
	clean := strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")
	for _, r := range all {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", clean.Replace(r.ID), clean.Replace(r.Routing), clean.Replace(r.Field), clean.Replace(r.Reason))
	}
	return b.String()
}

func (j *job) refusedIndex() string { return j.Dest + "-refused" }

// quarantined puts refused documents aside, where that was agreed to, and is done when
// they are there, all of them.
func (j *job) quarantined(ctx context.Context) (progress, error) {
	if len(j.Refused) == 0 {
		return finished, nil
	}
	if p, err := j.unfit(ctx); err != nil || !p.done {
		return p, err
	}
	if j.How == "" {
		return waiting(soon), j.save(ctx) // some fit now: compared once more
	}
	name := j.refusedIndex()
	_, there, err := j.find(ctx, name)
	if err != nil {
		return progress{}, err
	}
	if there {
		marks, err := j.marksOf(ctx, []string{name})
		if err != nil {
			return progress{}, err
		}
		if marks[name].Run != j.runID || marks[name].SourceUUID != j.SourceUUID {
			return progress{blocked: fmt.Sprintf("%s is to be put aside in %s, and another index of that name is there. Delete or clone it under another name and resume, or cancel.",
				documents(int64(len(j.Refused))), name)}, nil
		}
	}
	if !there {
		for i := range j.Refused {
			j.Refused[i].Put = false
		}
		err := j.record(ctx, ops.Change{Key: "index " + name, Resource: "cluster " + j.Environment, Setting: "index " + name,
			Intended: text(documents(int64(len(j.Refused))) + " put aside")})
		if err != nil {
			return progress{}, err
		}
		keep := map[string]any{"type": "keyword", "index": false, "doc_values": false}
		word := map[string]any{"type": "keyword", "ignore_above": 1024}
		return waiting(soon), j.Write(ctx, "PUT", "/"+name, elastic.Query("master_timeout", "5s", "timeout", "5s"), map[string]any{
			"settings": map[string]any{"index.number_of_shards": 1, "index.auto_expand_replicas": "0-1"},
			"mappings": map[string]any{"dynamic": false, "_meta": map[string]any{metaKey: j.mark()}, "properties": map[string]any{
				"id": word, "routing": word, "field": word, "reason": map[string]any{"type": "text"}, "source": keep, "at": map[string]any{"type": "date"},
			}},
		}, j.token)
	}
	for {
		var some []int
		for i, r := range j.Refused {
			if !r.Put && len(some) < j.handful() {
				some = append(some, i)
			}
		}
		if len(some) == 0 {
			break
		}
		if j.over(ctx) {
			return waiting(soon), j.save(ctx)
		}
		if err := j.putAside(ctx, name, some); err != nil {
			return progress{}, err
		}
	}
	e, ok := j.entry("index " + name)
	if ok && e.State == ops.Intended {
		return finished, j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Written, After: e.Intended})
	}
	return finished, nil
}

// putAside writes some of the refused documents to the quarantine and reads them back.
func (j *job) putAside(ctx context.Context, name string, some []int) error {
	var docs []document
	for _, i := range some {
		r := j.Refused[i]
		docs = append(docs, document{ID: r.ID, Routing: r.Routing})
	}
	now, err := j.lookup(ctx, j.Source, docs, true)
	if err != nil {
		return err
	}
	var actions []action
	for _, i := range some {
		r := j.Refused[i]
		is, ok := now[r.ID]
		if !ok {
			return fmt.Errorf("refused document %s is not in %s any more", r.ID, j.Source)
		}
		body, err := json.Marshal(map[string]any{"id": r.ID, "routing": r.Routing, "field": r.Field, "reason": r.Reason,
			"source": string(is.Source), "at": time.Now().UTC().Format(time.RFC3339)})
		if err != nil {
			return err
		}
		actions = append(actions, action{document: document{ID: r.ID, Routing: r.Routing, Version: is.Version, Source: body}, How: asNew})
	}
	out, err := j.write(ctx, name, "", j.token, actions)
	if err != nil {
		return err
	}
	for i, o := range out {
		if !o.done() {
			return fmt.Errorf("putting document %s aside: %d %s", actions[i].ID, o.Status, o.Reason)
		}
	}
	there, err := j.lookup(ctx, name, docs, false)
	if err != nil {
		return err
	}
	if len(there) != len(docs) {
		return fmt.Errorf("%d of %d refused documents are in %s", len(there), len(docs), name)
	}
	for _, i := range some {
		j.Refused[i].Put = true
	}
	return nil
}
