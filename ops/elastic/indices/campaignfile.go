package indices

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/strictyaml"
)

// CampaignFile is what a file says of a campaign; docs/campaigns.md has its keys. A zero
// value means that the file does not say.
type CampaignFile struct {
	From, To string   // patterns with exactly one * each; empty: Pairs
	Pairs    []Pair   // exact names
	Skip     []string // patterns of old indices that are left alone
	Priority []string // patterns of old indices, first first
	Order    string   // smallest, given or priority

	Writes   string // block, catchup or dual
	Register string // the register's name of an index: a pattern whose * is what From's matched

	Shards     string        // auto, or a number
	AtOnce     int           // indices in work at the same time
	Until      time.Duration // after this long no further index is begun
	MaxImpact  string        // low, normal or full
	Throttle   int           // documents per second, of all indices together
	Quarantine bool          // documents that cannot be indexed go into an index of their own
	Pipeline   string        // an ingest pipeline that documents go through

	Attr            string   // the node attribute of zones
	IndexingZone    string   // the new indices are written there
	ProductionZones []string // and live there afterwards
}

// Pair is an old index and the new one it is copied into.
type Pair struct{ From, To string }

// campaignName is the name of a campaign file without its ending: what people type.
var campaignName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

const campaignEnding = ".yaml"

// Campaigns are the names of the campaign files in a folder, sorted.
func Campaigns(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("campaign files: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), campaignEnding)
		if ok && !e.IsDir() && campaignName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil // ReadDir sorts
}

// LoadCampaign reads and checks the campaign file of this name in a folder. Errors are
// *ops.UserError, with all mistakes of the file and their lines.
func LoadCampaign(dir, name string) (CampaignFile, error) {
	if dir == "" {
		return CampaignFile{}, &ops.UserError{
			What: "This environment has no folder of campaign files.",
			Next: "Name one in the configuration, as campaigns under the environment's elasticsearch.",
		}
	}
	if !campaignName.MatchString(name) {
		return CampaignFile{}, noCampaign(dir, name, nil)
	}
	base := name + campaignEnding
	src, err := os.ReadFile(filepath.Join(dir, base))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return CampaignFile{}, noCampaign(dir, name, err)
	case err != nil:
		return CampaignFile{}, &ops.UserError{
			What: fmt.Sprintf("The campaign file %s cannot be read.", base),
			Next: "Check the rights of the file where Twokey runs.", Err: err,
		}
	}
	c, err := ParseCampaign(base, src)
	var wrong *strictyaml.Error
	if errors.As(err, &wrong) {
		return CampaignFile{}, wrongCampaign(wrong)
	}
	return c, err
}

// noCampaign says that there is no such file, and which there are.
func noCampaign(dir, name string, err error) error {
	e := &ops.UserError{What: fmt.Sprintf("There is no campaign %.80q.", name), Err: err}
	names, failed := Campaigns(dir)
	switch {
	case failed != nil:
		e.What = "The folder of campaign files cannot be read."
		e.Next = "Check campaigns in the configuration, and the folder's rights where Twokey runs."
		e.Err = errors.Join(err, failed)
	case len(names) == 0:
		e.Next = fmt.Sprintf("The folder of campaign files holds none; their names end in %s.", campaignEnding)
	default:
		e.Next = fmt.Sprintf("These are there: %s.", strings.Join(names, ", "))
		if near := elastic.Nearest(name, names); near != "" {
			e.Next = fmt.Sprintf("Did you mean %s? %s", near, e.Next)
		}
	}
	return e
}

// shownMistakes is how many mistakes of one file people are shown at once.
const shownMistakes = 10

func wrongCampaign(wrong *strictyaml.Error) error {
	n := len(wrong.Mistakes)
	lines := strings.Split(wrong.Error(), "\n")
	e := &ops.UserError{Next: "Correct the file, then type the command again.", Err: wrong}
	if n == 1 {
		e.What = "The campaign file is wrong: " + lines[0]
		return e
	}
	e.What = fmt.Sprintf("The campaign file %s has %d mistakes:\n%s", wrong.File, n, strings.Join(lines[:min(n, shownMistakes)], "\n"))
	if n > shownMistakes {
		e.What += fmt.Sprintf("\nand %d more", n-shownMistakes)
	}
	return e
}

// ParseCampaign checks a campaign file's text; name is its name in messages. All mistakes
// are in one *strictyaml.Error.
func ParseCampaign(name string, src []byte) (CampaignFile, error) {
	r := campaignReader{places: map[string]strictyaml.Place{}}
	root, ok := r.Document(src)
	if ok {
		r.read(root)
		r.sources(root)
		r.together()
	}
	if err := r.Err(name); err != nil {
		return CampaignFile{}, err
	}
	return r.c, nil
}

// campaignReader reads one file.
type campaignReader struct {
	strictyaml.Reader
	c      CampaignFile
	places map[string]strictyaml.Place // of the keys that are there
}

// What words of a campaign file may look like, where they are not names of indices.
var (
	attribute = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	zoneName  = regexp.MustCompile(`^[^\s,*]+$`)
)

const (
	maxShards   = 1024 // index.number_of_shards has the same limit
	maxAtOnce   = 1000
	maxThrottle = 10_000_000
	minUntil    = time.Minute
	maxUntil    = 90 * 24 * time.Hour
)

func (r *campaignReader) read(root strictyaml.Value) {
	c := &r.c
	keys := map[string]func(strictyaml.Value){
		"from":             func(v strictyaml.Value) { c.From = r.indexName(v, 1, 1) },
		"to":               func(v strictyaml.Value) { c.To = r.indexName(v, 1, 1) },
		"pairs":            func(v strictyaml.Value) { c.Pairs = r.pairs(v) },
		"skip":             func(v strictyaml.Value) { c.Skip = r.indexPatterns(v) },
		"priority":         func(v strictyaml.Value) { c.Priority = r.indexPatterns(v) },
		"order":            func(v strictyaml.Value) { c.Order = r.oneOf(v, "smallest", "given", "priority") },
		"writes":           func(v strictyaml.Value) { c.Writes = r.oneOf(v, "block", "catchup", "dual") },
		"register":         func(v strictyaml.Value) { c.Register = r.registerName(v) },
		"shards":           func(v strictyaml.Value) { c.Shards = r.shards(v) },
		"at_once":          func(v strictyaml.Value) { c.AtOnce = r.Number(v, 1, maxAtOnce) },
		"until":            func(v strictyaml.Value) { c.Until = r.Duration(v, minUntil, maxUntil) },
		"max_impact":       func(v strictyaml.Value) { c.MaxImpact = r.oneOf(v, "low", "normal", "full") },
		"throttle":         func(v strictyaml.Value) { c.Throttle = r.Number(v, 1, maxThrottle) },
		"quarantine":       func(v strictyaml.Value) { c.Quarantine = r.Bool(v) },
		"pipeline":         func(v strictyaml.Value) { c.Pipeline = r.Word(v, pipelineName, "the name of an ingest pipeline") },
		"attr":             func(v strictyaml.Value) { c.Attr = r.Word(v, attribute, "the name of a node attribute, like zone") },
		"indexing_zone":    func(v strictyaml.Value) { c.IndexingZone = r.Word(v, zoneName, "one zone") },
		"production_zones": func(v strictyaml.Value) { c.ProductionZones = r.Words(v, zoneName, "one zone") },
	}
	known := make(map[string]strictyaml.Key, len(keys))
	for name, read := range keys {
		known[name] = strictyaml.Key{Read: func(v strictyaml.Value) {
			r.places[name] = v.Place
			read(v)
		}}
	}
	r.Mapping(root, known)
}

func (r *campaignReader) has(key string) bool {
	_, ok := r.places[key]
	return ok
}

// sources checks that the file says in one way which indices are copied into which.
func (r *campaignReader) sources(root strictyaml.Value) {
	c := &r.c
	switch patterns := r.has("from") || r.has("to"); {
	case patterns && r.has("pairs"):
		r.Wrong(r.places["pairs"], "stands beside from and to; keep one of them")
	case !patterns && !r.has("pairs"):
		r.Wrong(root.Place, "names no indices: give from and to, or pairs")
	case r.has("from") && !r.has("to"):
		r.Wrong(r.places["from"], "needs to, the pattern of the new names")
	case r.has("to") && !r.has("from"):
		r.Wrong(r.places["to"], "needs from, the pattern of the old names")
	case c.From != "" && c.To != "":
		example := strings.Replace(c.To, "*", "x", 1)
		matches := func(p string) bool { return namePattern(p).MatchString(example) }
		if matches(c.From) && !slices.ContainsFunc(c.Skip, matches) {
			r.Wrong(r.places["to"], "new names match from, too: %s would be copied again; skip them (skip: [%q]) or choose other names", example, c.To)
		}
	}
}

// together checks keys that depend on each other.
func (r *campaignReader) together() {
	c := &r.c
	if r.has("priority") && r.has("order") && c.Order != "priority" && c.Order != "" {
		r.Wrong(r.places["priority"], "is used with order: priority only")
	}
	if c.Order == "priority" && !r.has("priority") {
		r.Wrong(r.places["order"], "needs priority, the patterns that come first")
	}
	if r.has("register") {
		switch {
		case c.Writes != "" && c.Writes != "dual":
			r.Wrong(r.places["register"], "is used with writes: dual only")
		case r.has("pairs"):
			r.Wrong(r.places["register"], "needs from with a *; pairs have none")
		}
	}
	if r.has("production_zones") && !r.has("indexing_zone") {
		r.Wrong(r.places["production_zones"], "needs indexing_zone")
	}
	if r.has("attr") && !r.has("indexing_zone") {
		r.Wrong(r.places["attr"], "needs indexing_zone")
	}
	if c.IndexingZone != "" && slices.Contains(c.ProductionZones, c.IndexingZone) {
		r.Wrong(r.places["indexing_zone"], "is one of production_zones, too")
	}
}

// namePattern is a pattern of names as a regular expression; * stands for any text.
func namePattern(pattern string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
}

func (r *campaignReader) pairs(v strictyaml.Value) []Pair {
	items, ok := r.Items(v)
	if ok && len(items) == 0 {
		r.Wrong(v.Place, "names no indices")
	}
	var out []Pair
	from, to := map[string]bool{}, map[string]strictyaml.Place{}
	for _, item := range items {
		var p Pair
		r.Mapping(item, map[string]strictyaml.Key{
			"from": {Required: true, Read: func(v strictyaml.Value) {
				if p.From = r.indexName(v, 0, 0); p.From != "" && from[p.From] {
					r.Wrong(v.Place, "%s is here twice", p.From)
				}
				from[p.From] = true
			}},
			"to": {Required: true, Read: func(v strictyaml.Value) {
				p.To = r.indexName(v, 0, 0)
				if _, twice := to[p.To]; twice && p.To != "" {
					r.Wrong(v.Place, "%s is here twice", p.To)
				}
				to[p.To] = v.Place
			}},
		})
		out = append(out, p)
	}
	for name, at := range to {
		if name != "" && from[name] {
			r.Wrong(at, "%s is an old index, too", name)
		}
	}
	return out
}

// indexName reads the name of an index with at least low and at most high stars.
func (r *campaignReader) indexName(v strictyaml.Value, low, high int) string {
	before := r.Count()
	s := r.Text(v)
	if r.Count() > before {
		return ""
	}
	switch n := strings.Count(s, "*"); {
	case n > high && high == 0:
		r.Wrong(v.Place, "must be one name, without *; it is %q", s)
	case (n < low || n > high) && high == 1:
		r.Wrong(v.Place, "must hold exactly one *, like v2_*; it is %q", s)
	case strings.ToLower(s) != s, strings.ContainsAny(s, "\\/?\"<>| ,#:"), strings.ContainsAny(s[:1], "-_+"),
		s == ".", s == "..", len(s) > 255:
		r.Wrong(v.Place, "is no name for an index: small letters, no blanks, none of \\ / ? \" < > | , # :, none of - _ + at the beginning; it is %.300q", s)
	default:
		return s
	}
	return ""
}

// indexPatterns reads names with any number of stars.
func (r *campaignReader) indexPatterns(v strictyaml.Value) []string {
	before := r.Count()
	out := r.List(v, func(v strictyaml.Value) string { return r.indexName(v, 0, 255) })
	if len(out) == 0 && r.Count() == before {
		r.Wrong(v.Place, "names nothing; leave the key out")
	}
	return out
}

func (r *campaignReader) registerName(v strictyaml.Value) string {
	before := r.Count()
	s := r.Text(v)
	if r.Count() > before {
		return ""
	}
	if strings.Count(s, "*") != 1 || CheckRegisterName(s) != nil {
		r.Wrong(v.Place, "must hold exactly one *, for what the * of from matched, like dashboard-*; it is %.300q", s)
		return ""
	}
	return s
}

func (r *campaignReader) oneOf(v strictyaml.Value, words ...string) string {
	s := r.Plain(v)
	if !slices.Contains(words, s) {
		r.Wrong(v.Place, "must be one of %s", strings.Join(words, ", "))
		return ""
	}
	return s
}

func (r *campaignReader) shards(v strictyaml.Value) string {
	s := r.Plain(v)
	if s == "auto" {
		return s
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxShards {
		r.Wrong(v.Place, "must be auto, or a number from 1 to %d", maxShards)
		return ""
	}
	return strconv.Itoa(n)
}
