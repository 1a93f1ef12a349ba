package dns

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"twokey/ops"
)

// answers is what one server answers for a name, sorted; empty: no such record.
func (s Site) answers(ctx context.Context, server, name, kind string) ([]string, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[kind])
	m.RecursionDesired = false
	in, err := s.ask(ctx, m, server+":53")
	if err != nil {
		return nil, err
	}
	if in.Rcode != dns.RcodeSuccess && in.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("%s", dns.RcodeToString[in.Rcode])
	}
	var values []string
	for _, rr := range in.Answer {
		switch x := rr.(type) {
		case *dns.A:
			values = append(values, x.A.String())
		case *dns.AAAA:
			values = append(values, x.AAAA.String())
		case *dns.CNAME:
			values = append(values, bare(x.Target))
		}
	}
	slices.Sort(values)
	return values, nil
}

// showRecords is "dns show NAME…".
type showRecords struct{ sites map[string]Site }

func (showRecords) Kind() string { return "dns show" }

// Answer lists what the provider says of each name, and what each server answers.
func (q showRecords) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	site, err := pick(q.sites, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	if _, err := site.Verify(ctx); err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{Table: &ops.Table{Columns: []string{"Name", "Who says", "Record"}}}
	asked, differ := 0, 0
	for _, name := range call.Args {
		if name = bare(name); !hostName(name) {
			return ops.Answer{}, notName(name)
		}
		z, err := site.open(ctx, site.ForPlan(call.Kind), name)
		if err != nil {
			return ops.Answer{}, err
		}
		list, others, err := z.look(ctx, name)
		if err != nil {
			return ops.Answer{}, err
		}
		if len(list) == 0 {
			text := "no record that points somewhere"
			if len(others) > 0 {
				text += ", only " + strings.Join(others, ", ")
			}
			a.Table.Rows = append(a.Table.Rows, []string{name, z.name(), text})
		}
		for _, r := range list {
			text := r.text()
			if r.Special != "" {
				text = r.Type + ", " + r.Special
			}
			a.Table.Rows = append(a.Table.Rows, []string{name, z.name(), text})
			for _, server := range z.servers() {
				got, err := site.answers(ctx, server, name, r.Type)
				said := strings.Join(got, " ")
				asked++
				switch {
				case err != nil:
					said = "no answer: " + err.Error()
					differ++
				case r.Special == "" && !r.Proxied && !slices.Equal(got, r.Values):
					differ++
					said += " (differs)"
				}
				a.Table.Rows = append(a.Table.Rows, []string{name, server, said})
			}
		}
	}
	switch names := strings.Join(call.Args, ", "); {
	case differ == 1:
		a.Title = names + ": 1 server does not answer as the provider says"
	case differ > 1:
		a.Title = fmt.Sprintf("%s: %d servers do not answer as the provider says", names, differ)
	case asked == 0:
		a.Title = names + ": no record"
	default:
		a.Title = names + ": all servers agree"
	}
	return a, nil
}
