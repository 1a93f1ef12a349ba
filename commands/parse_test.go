package commands

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var vocabulary = Vocabulary{
	Command:            "/ops",
	Environments:       []string{"prod", "staging", "india"},
	DefaultEnvironment: "staging",
	BotUser:            "UBOT",
}

func TestParse(t *testing.T) {
	drain := func(args ...string) Invocation {
		return Invocation{Kind: "es drain", Class: "R2", Environment: "staging", Args: args}
	}
	with := func(inv Invocation, flags ...string) Invocation {
		inv.Flags = map[string]string{}
		for _, f := range flags {
			inv.Flags[f] = "true"
		}
		return inv
	}
	in := func(inv Invocation, env string) Invocation { inv.Environment = env; return inv }
	reindex := func(args ...string) Invocation {
		return Invocation{Kind: "es reindex", Class: "R2", Environment: "staging", Args: args}
	}
	own := func(kind string, args ...string) Invocation {
		return Invocation{Kind: kind, Own: true, Args: args}
	}
	tests := []struct {
		name, typed string
		want        Invocation
		text        string
	}{
		{"default environment", "es drain n3", drain("n3"), "es drain n3 --env staging"},
		{"several arguments", "es drain n3 n4", drain("n3", "n4"), "es drain n3 n4 --env staging"},
		{"flag between arguments", "es drain n3 --release n4", with(drain("n3", "n4"), "release"), "es drain n3 n4 --env staging --release"},
		{"flag with =", "es drain n3 --env=prod", in(drain("n3"), "prod"), "es drain n3 --env prod"},
		{"quoted value after =", `es drain n3 --env="prod"`, in(drain("n3"), "prod"), "es drain n3 --env prod"},
		{"case of words, not of arguments", "ES Drain N3 --ENV Prod", in(drain("N3"), "prod"), "es drain N3 --env prod"},
		{"em dash", "es drain n3 —env prod —release", with(in(drain("n3"), "prod"), "release"), "es drain n3 --env prod --release"},
		{"en dash", "es drain n3 –release", with(drain("n3"), "release"), "es drain n3 --env staging --release"},
		{"dash and hyphen", "es drain n3 –-release", with(drain("n3"), "release"), "es drain n3 --env staging --release"},
		{"no-break spaces", "es\u00a0drain\u202fn3", drain("n3"), "es drain n3 --env staging"},
		{"zero-width space", "es drain n\u200b3\ufeff", drain("n3"), "es drain n3 --env staging"},
		{"no-break hyphen", "es drain es\u20111", drain("es-1"), "es drain es-1 --env staging"},
		{"lines", "es drain\n n3\r\n", drain("n3"), "es drain n3 --env staging"},
		{"autolinked host", "es drain <http://es-1.prod|es-1.prod>", drain("es-1.prod"), "es drain es-1.prod --env staging"},
		{"bare link", "es drain <https://es-1.prod:9200>", drain("https://es-1.prod:9200"), "es drain https://es-1.prod:9200 --env staging"},
		{"link in quotes", "es drain “<http://es-1.prod|es-1.prod>”", drain("es-1.prod"), "es drain es-1.prod --env staging"},
		{"mail address", "es drain <mailto:a@b.example|a@b.example> <mailto:c@d>", drain("a@b.example", "c@d"), "es drain a@b.example c@d --env staging"},
		{"entities", "es drain a&amp;b&lt;c&gt;", drain("a&b<c>"), "es drain a&b<c> --env staging"},
		{"entity typed as such", "es drain &amp;lt;", drain("&lt;"), "es drain &lt; --env staging"},
		{"angle brackets that are no link", "es drain <n3> a<b", drain("<n3>", "a<b"), "es drain <n3> a<b --env staging"},
		{"people and channels", "es drain <@U1|bob> <#C1|general> <!subteam^S1|@sre> <!here>", drain("@U1", "#C1", "@S1", "@here"), "es drain @U1 #C1 @S1 @here --env staging"},
		{"double quotes", `es drain "node 3"`, drain("node 3"), `es drain "node 3" --env staging`},
		{"curly quotes", "es drain “node 3” ‘n 4’", drain("node 3", "n 4"), `es drain "node 3" "n 4" --env staging`},
		{"quotes of two kinds", "es drain “node 3\"", drain("node 3"), `es drain "node 3" --env staging`},
		{"quote in quotes", `es drain "a \"b\" c\\"`, drain(`a "b" c\`), `es drain "a \"b\" c\\" --env staging`},
		{"quoted dashes are no flag", `es drain "--release"`, drain("--release"), `es drain "--release" --env staging`},
		{"apostrophe", "es drain bob's", drain("bob's"), "es drain bob's --env staging"},
		{"-- ends flags", "es drain --release -- --n3", with(drain("--n3"), "release"), `es drain "--n3" --env staging --release`},
		{"code", "`es drain n3 --env prod`", in(drain("n3"), "prod"), "es drain n3 --env prod"},
		{"code block", "```\nes drain n3\n```", drain("n3"), "es drain n3 --env staging"},
		{"code argument", "es drain `n3` `--release`", with(drain("n3"), "release"), "es drain n3 --env staging --release"},
		{"mention", "<@UBOT> es drain n3", drain("n3"), "es drain n3 --env staging"},
		{"mention with colon and slash word", "<@UBOT|twokey>: /ops es drain n3", drain("n3"), "es drain n3 --env staging"},
		{"slash word again", "/OPS es drain n3", drain("n3"), "es drain n3 --env staging"},

		{"longer of two commands", "es reindex throttle 7Q2MK 5000", own("es reindex throttle", "7Q2MK", "5000"), "es reindex throttle 7Q2MK 5000"},
		{"shorter of two commands", "es reindex a b", reindex("a", "b"), "es reindex a b --env staging"},
		{"an index named like a command", `es reindex "throttle" b`, reindex("throttle", "b"), `es reindex "throttle" b --env staging`},
		{"an index named like a command, in curly quotes", "es reindex ‘Throttle’ b", reindex("Throttle", "b"), `es reindex "Throttle" b --env staging`},
		{"an index named like a command, as the second", "es reindex a throttle", reindex("a", "throttle"), "es reindex a throttle --env staging"},
		{"an index named like a command, after a flag", "es reindex --env prod throttle b", in(reindex("throttle", "b"), "prod"), `es reindex "throttle" b --env prod`},
		{"flags with values", "es alias-swap a b --from x —to=y", Invocation{Kind: "es alias-swap", Class: "R2", Environment: "staging",
			Args: []string{"a", "b"}, Flags: map[string]string{"from": "x", "to": "y"}}, "es alias-swap a b --env staging --from x --to y"},
		{"patterns in quotes", "es campaign 'v1_*' --to ‘v2_*’", Invocation{Kind: "es campaign", Class: "R2", Environment: "staging",
			Args: []string{"v1_*"}, Flags: map[string]string{"to": "v2_*"}}, "es campaign v1_* --env staging --to v2_*"},
		{"optional arguments left out", "es delete-index --campaign 7Q2MK --confirm 7Q2MK", Invocation{Kind: "es delete-index", Class: "R3", Environment: "staging",
			Flags: map[string]string{"campaign": "7Q2MK", "confirm": "7Q2MK"}}, "es delete-index --env staging --campaign 7Q2MK --confirm 7Q2MK"},

		{"nothing", "  ", own("help"), "help"},
		{"mention alone", "<@UBOT>", own("help"), "help"},
		{"help on words", "help es drain", own("help", "es", "drain"), "help es drain"},
		{"--help", "es drain n3 --help", own("help", "es", "drain"), "help es drain"},
		{"—help", "—help", own("help"), "help"},
		{"--help on a group", "es --help", own("help", "es"), "help es"},
		{"help after a group", "es help", own("help", "es"), "help es"},
		{"own without arguments", "list", own("list"), "list"},
		{"own with id", "approve 7Q2MK", own("approve", "7Q2MK"), "approve 7Q2MK"},
		{"no reason", "decline 7Q2MK", own("decline", "7Q2MK"), "decline 7Q2MK"},
		{"empty reason", `decline 7Q2MK ""`, own("decline", "7Q2MK"), "decline 7Q2MK"},
		{"reason is prose", "decline 7Q2MK don't:  it's --release’s “fault” — really", own("decline", "7Q2MK", "don't: it's --release’s “fault” — really"), "decline 7Q2MK don't: it's --release’s “fault” — really"},
		{"reason after a dash", "decline 7Q2MK — too risky", own("decline", "7Q2MK", "too risky"), "decline 7Q2MK too risky"},
		{"reason stuck to a dash", "decline 7Q2MK —too risky", own("decline", "7Q2MK", "—too risky"), `decline 7Q2MK "—too risky"`},
		{"reason in quotes", `decline 7Q2MK "too risky"`, own("decline", "7Q2MK", "too risky"), "decline 7Q2MK too risky"},
		{"reason with a lone quote", "decline 7Q2MK 'tis late", own("decline", "7Q2MK", "'tis late"), "decline 7Q2MK 'tis late"},
		{"reason after --", "decline 7Q2MK -- --release is missing", own("decline", "7Q2MK", "--release is missing"), `decline 7Q2MK "--release is missing"`},
		{"reason in code", "`decline 7Q2MK too risky`", own("decline", "7Q2MK", "too risky"), "decline 7Q2MK too risky"},
		{"code in the reason", "decline 7Q2MK use `--release`", own("decline", "7Q2MK", "use `--release`"), "decline 7Q2MK use `--release`"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.typed, vocabulary)
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.typed, err)
			}
			tt.want.Text = tt.text
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.typed, d)
			}
			checkCanonical(t, got)
		})
	}
}

func TestParseErrors(t *testing.T) {
	const drain = "Usage: /ops es drain NODE… [--env NAME] [--release] [--decommission]"
	tests := []struct{ name, typed, what, next string }{
		{"unknown word", "elastic health", `there is no command "elastic"`, "/ops help lists all commands."},
		{"near a group", "esx drain n3", `there is no command "esx"`, "Did you mean /ops es? /ops help lists all commands."},
		{"verb alone", "drain n3", `there is no command "drain"`, "Did you mean /ops es drain? /ops help lists all commands."},
		{"wrong verb alone", "undrian n3", `there is no command "undrian"`, "Did you mean /ops es undrain? /ops help lists all commands."},
		{"joined words", "es-drain n3", `there is no command "es-drain"`, "Did you mean /ops es drain? /ops help lists all commands."},
		{"near a verb", "es drian n3", `there is no command "es drian"`, "Did you mean /ops es drain? /ops help lists all commands."},
		{"beginning of a verb", "cfn desc web", `there is no command "cfn desc"`, "Did you mean /ops cfn describe? /ops help lists all commands."},
		{"unknown verb", "dns zzz", `there is no command "dns zzz"`, "There are: dns show, switch. /ops help lists all commands."},
		{"own command", "aprove 7Q2MK", `there is no command "aprove"`, "Did you mean /ops approve? /ops help lists all commands."},
		{"group alone", "dns", "dns needs one more word: show, switch", "/ops help dns explains them."},
		{"flag first", "--env prod es health", `"--env" stands before the command`, "Flags come after it. /ops help lists all commands."},
		{"no argument", "es drain", "es drain needs NODE: a node's exact name", drain},
		{"no argument but a flag", "es drain --release", "es drain needs NODE: a node's exact name", drain},
		{"too many", "es shards n3 n4", `es shards has one word too many: "n4"`, "Usage: /ops es shards NODE [--env NAME]"},
		{"takes none", "list all", `list takes no arguments, but got "all"`, "Usage: /ops list"},
		{"empty argument", `es drain ""`, "an argument is empty", drain},
		{"open quote", `es drain “n3`, `the quote in "“n3" is never closed`, drain},
		{"open quote in a value", `es drain n3 --env "prod`, `the quote in ""prod" is never closed`, drain},
		{"unknown flag", "es drain n3 --force", `es drain has no flag "--force"`, drain},
		{"near a flag", "es drain n3 --relase", `es drain has no flag "--relase"`, "Did you mean --release? " + drain},
		{"one dash", "es drain n3 -release", `es drain has no flag "-release"`, "Did you mean --release? " + drain},
		{"flag without value", "es drain n3 --env", "--env needs a value: --env NAME", drain},
		{"flag before a flag", "es drain n3 --env --release", "--env needs a value: --env NAME", drain},
		{"flag with empty value", "es drain n3 --env=", "--env needs a value: --env NAME", drain},
		{"switch with value", "es drain n3 --release=no", "--release takes no value", drain},
		{"switch twice", "es drain n3 --release —release", "--release is given twice", drain},
		{"env twice", "es drain n3 --env prod --env=staging", "--env is given twice", drain},
		{"env where none is", "list --env prod", "list takes no --env: it is not about one environment", "Usage: /ops list"},
		{"env before a reason", "decline 7Q2MK --env prod", "decline takes no --env: it is not about one environment", "Usage: /ops decline ID [WHY…]"},
		{"near an environment", "es health --env prd", `there is no environment "prd"`, "Did you mean --env prod? Known: prod, staging, india."},
		{"unknown environment", "es health --env mars", `there is no environment "mars"`, "Known: prod, staging, india."},
		{"a flag that must be there", "es alias-swap a --from x", "es alias-swap needs --to INDEX: the index they are to point to",
			"Usage: /ops es alias-swap ALIAS… [--env NAME] --from INDEX --to INDEX"},
		{"many flags", "es reindex a", "es reindex needs DST: the index to make of it",
			"Usage: /ops es reindex SRC DST [FLAG…]. /ops help es reindex explains the flags."},
		{"an index named like a command", "es reindex throttle b", "es reindex throttle needs N: documents per second, or none",
			`Usage: /ops es reindex throttle ID N. If "throttle" is meant as SRC of es reindex, type it in quotes.`},
		{"an index named like a command, with a flag", "es reindex throttle b --no-swap", `es reindex throttle has no flag "--no-swap"`,
			`Usage: /ops es reindex throttle ID N. If "throttle" is meant as SRC of es reindex, type it in quotes.`},
		{"too long", "decline 7Q2MK " + strings.Repeat("\"a ", 1333), "the command has 4013 characters, more than 4000", "/ops help lists all commands."},
		{"too long in full", "es drain " + strings.Repeat("n", 3990), "the command has 4013 characters, more than 4000", "/ops help lists all commands."},
		{"long word", strings.Repeat("x", 100), `there is no command "` + strings.Repeat("x", 59) + `…"`, "/ops help lists all commands."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv, err := Parse(tt.typed, vocabulary)
			var usage *UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("Parse(%q) = %+v, %v; want a *UsageError", tt.typed, inv, err)
			}
			if d := cmp.Diff(UsageError{tt.what, tt.next}, *usage); d != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.typed, d)
			}
		})
	}
}

func TestParseWithoutDefaultEnvironment(t *testing.T) {
	v := vocabulary
	v.DefaultEnvironment = ""
	_, err := Parse("es health", v)
	var usage *UsageError
	if !errors.As(err, &usage) {
		t.Fatalf("err = %v, want a *UsageError", err)
	}
	want := UsageError{"es health needs --env NAME", "Usage: /ops es health --env NAME (known: prod, staging, india)"}
	if *usage != want {
		t.Errorf("got %+v\nwant %+v", *usage, want)
	}
}

// Environments whose names differ in case alone are told apart by exact typing only.
func TestParseEnvironmentCase(t *testing.T) {
	v := Vocabulary{Environments: []string{"Prod", "prod"}}
	if inv, err := Parse("es health --env Prod", v); err != nil || inv.Environment != "Prod" {
		t.Errorf("--env Prod: %q, %v", inv.Environment, err)
	}
	if inv, err := Parse("es health --env PROD", v); err == nil {
		t.Errorf("--env PROD: %q, want an error", inv.Environment)
	}
}

// checkCanonical checks that the text of an invocation means the invocation, both
// as Slack would send it and, where it holds nothing that looks like Slack's markup,
// as it is.
func checkCanonical(t interface {
	Helper()
	Errorf(string, ...any)
}, inv Invocation) {
	t.Helper()
	ways := []string{escape(inv.Text)}
	if !strings.ContainsAny(inv.Text, "&<>") {
		ways = append(ways, inv.Text)
	}
	for _, text := range ways {
		again, err := Parse(text, vocabulary)
		if err != nil {
			t.Errorf("canonical %q: %v", text, err)
		} else if d := cmp.Diff(inv, again); d != "" {
			t.Errorf("canonical %q is another command (-first +again):\n%s", text, d)
		}
	}
}

// Whatever arguments a command is given, its canonical text gives them back.
func TestCanonicalProperty(t *testing.T) {
	bits := rapid.SampledFrom([]string{
		"n3", "a", "-", "--", "—", "–x", "=", "\"", "'", "“", "”", "’", "`", "```", "\\", " ", "  ", "\u00a0", "\u200b",
		"&", "&amp;", "&lt;", "<", ">", "<@U1>", "<http://a|b>", "|", "@UBOT", "/ops", "help", "--env", "--env=\"", "\n", "é", "\xff",
	})
	part := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(bits, 0, 6).Draw(t, "bits"), "")
	})
	kinds := rapid.SampledFrom([]string{
		"es drain ", "es drain n3 --env prod ", "es drain --release ", "es shards ", "decline 7Q2MK ", "`decline 7Q2MK ", "cancel ", "help ", "",
		"es reindex ", "es reindex throttle ", "es reindex \"throttle\" ", "es delete-index ",
	})
	rapid.Check(t, func(t *rapid.T) {
		typed := kinds.Draw(t, "kind") + strings.Join(rapid.SliceOfN(part, 0, 4).Draw(t, "parts"), " ")
		checkParse(t, typed)
	})
}

// checkParse checks what holds for every text at all.
func checkParse(t interface {
	Helper()
	Errorf(string, ...any)
}, typed string) {
	t.Helper()
	inv, err := Parse(typed, vocabulary)
	if err == nil {
		checkCanonical(t, inv)
		return
	}
	var usage *UsageError
	if !errors.As(err, &usage) {
		t.Errorf("Parse(%q): %T, want *UsageError", typed, err)
		return
	}
	if usage.What == "" || usage.Next == "" || strings.ContainsAny(usage.What+usage.Next, "\r\n\u2028\u2029") {
		t.Errorf("Parse(%q): not one line each: %q, %q", typed, usage.What, usage.Next)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range Catalog() {
		for _, e := range s.Examples {
			f.Add(e)
		}
	}
	f.Add("<@UBOT>: `es drain “n 3” —env=\"prod\"`")
	f.Add("decline 7Q2MK — 'tis \"late\" &lt;&amp;amp; <http://a|b c>")
	f.Add("es drain <@U1|bob> <!date^1^{date}|today> \\ \"a\\\"\" --")
	f.Fuzz(func(t *testing.T, typed string) { checkParse(t, typed) })
}
