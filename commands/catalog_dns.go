package commands

// dnsSpecs is the commands of deploy/dns.
func dnsSpecs() []Spec {
	names := []Arg{{Name: "NAME", Summary: "a record's whole name", Repeat: true}}
	return []Spec{{
		Path:     []string{"dns", "show"},
		Args:     names,
		Summary:  "a record as its provider and each authoritative server say",
		Examples: []string{"dns show www.example.org --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path: []string{"dns", "switch"},
		Args: names,
		Flags: []Flag{
			{Name: "to", Value: "TARGET", Summary: "stack:STACK, stack:STACK#OUTPUT, instance:NAME, ip:ADDRESS or name:HOST", Required: true},
			{Name: "ttl", Value: "TIME", Summary: "how long others may keep the new value; without it as before"},
			{Name: "no-probe", Summary: "do not ask whether the new address answers"},
		},
		Summary: "point DNS records to a new stack or instance",
		Detail: []string{
			"The new address must answer a request for the name before the switch. Done when the provider has it everywhere, each authoritative server answers it, and a request through the name is answered.",
			"Where the configuration names a record's target, as in instance:{stack}-web, each record of one command gets its own.",
			"A cancel or a failure puts the old value back while the record still has the new one.",
		},
		Examples: []string{
			"dns switch www.example.org --to stack:web-2 --env staging",
			"dns switch waffle-server-stage.example.org import-waffle-server-stage.example.org --to stack:wsstage2 --env staging",
		},
		Class: "R2",
		Env:   true,
	}}
}
