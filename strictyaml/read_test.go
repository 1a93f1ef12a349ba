package strictyaml_test

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/strictyaml"
)

// read reads one key of each kind.
func read(src string) (map[string]any, error) {
	got := map[string]any{}
	var r strictyaml.Reader
	key := func(name string, read func(strictyaml.Value) any) (string, strictyaml.Key) {
		return name, strictyaml.Key{Read: func(v strictyaml.Value) {
			before := r.Count()
			if x := read(v); r.Count() == before {
				got[name] = x
			}
		}}
	}
	keys := map[string]strictyaml.Key{}
	add := func(name string, read func(strictyaml.Value) any) {
		name, k := key(name, read)
		keys[name] = k
	}
	add("text", func(v strictyaml.Value) any { return r.Text(v) })
	add("plain", func(v strictyaml.Value) any { return r.Plain(v) })
	add("word", func(v strictyaml.Value) any { return r.Word(v, regexp.MustCompile(`^[a-z]+$`), "a word") })
	add("words", func(v strictyaml.Value) any { return r.Words(v, regexp.MustCompile(`^[a-z]+$`), "a word") })
	add("number", func(v strictyaml.Value) any { return r.Number(v, 1, 9) })
	add("bool", func(v strictyaml.Value) any { return r.Bool(v) })
	add("duration", func(v strictyaml.Value) any { return r.Duration(v, time.Second, time.Hour) })
	add("items", func(v strictyaml.Value) any { items, _ := r.Items(v); return len(items) })
	add("secret_env", func(v strictyaml.Value) any { return r.Text(v) })
	if root, ok := r.Document([]byte(src)); ok {
		r.Mapping(root, keys, "later")
	}
	return got, r.Err("f.yaml")
}

func TestRead(t *testing.T) {
	got, err := read(`
text: a text
plain: 7
word: w
words: [a, b]
number: 9
bool: false
duration: 90s
items: [{ a: 1 }, b]
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"text": "a text", "plain": "7", "word": "w", "words": []string{"a", "b"},
		"number": 9, "bool": false, "duration": 90 * time.Second, "items": 2,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMistakes(t *testing.T) {
	got, err := read(`
text: 7
word: W
words: [a, a, A]
number: 10
bool: yes please
duration: 2h
items: a
later: 1
Secret: hunter2
other: hunter2
bool: true
`)
	if len(got) > 0 {
		t.Errorf("read, though wrong: %v", got)
	}
	var all *strictyaml.Error
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	want := `f.yaml:2:1: text: must be text; write it in quotes: "…"
f.yaml:3:1: word: must be a word; it is "W"
f.yaml:4:12: words: a is here twice
f.yaml:4:15: words: must be a word; it is "A"
f.yaml:5:1: number: must be a number from 1 to 9, not 10
f.yaml:6:1: bool: must be true or false, not text
f.yaml:7:1: duration: must be a duration from 1s to 1h
f.yaml:8:1: items: must be a list: [a, b]; it is text
f.yaml:9:1: later: is not supported by this version
f.yaml:10:1: Secret: unknown key; a secret does not belong here: put it in an environment variable and name that (secret_env)
f.yaml:11:1: other: unknown key; known here: bool, duration, items, number, plain, secret_env, text, word, words
f.yaml:12:1: bool: is here twice`
	if d := cmp.Diff(want, all.Error()); d != "" {
		t.Error(d)
	}
}
