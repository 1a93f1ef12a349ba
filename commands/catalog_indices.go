package commands

// indices are the commands about an index or many of them.
func indices() []Spec {
	var (
		writes    = Flag{Name: "writes", Value: "block|catchup|dual", Summary: "how writes during the copy are treated; default catchup"}
		impact    = Flag{Name: "max-impact", Value: "low|normal|full", Summary: "how much the copy may take from the cluster's users; default normal"}
		throttle  = Flag{Name: "throttle", Value: "N", Summary: "copy at most N documents per second"}
		attribute = Flag{Name: "attr", Value: "NAME", Summary: "the node attribute that names zones; default zone"}
	)
	return []Spec{{
		Path: []string{"es", "reindex"},
		Args: []Arg{{Name: "SRC", Summary: "the index to copy, by its exact name"}, {Name: "DST", Summary: "the index to make of it"}},
		Flags: []Flag{
			writes,
			{Name: "shards", Value: "N|auto", Summary: "primary shards of DST; default as many as SRC has; auto: as in es campaign"},
			{Name: "quarantine", Summary: "documents that the new mapping refuses go to the index DST-refused instead of stopping the run"},
			impact,
			throttle,
			{Name: "pipeline", Value: "NAME", Summary: "an ingest pipeline that every document goes through on its way into DST"},
			{Name: "read-from", Value: "ZONE", Summary: "read only from copies on nodes of this zone: the copy goes through Twokey instead of the server's own _reindex"},
			{Name: "register", Value: "NAME", Summary: "with --writes dual: the logical index in the register; default SRC"},
			{Name: "no-swap", Summary: "leave the aliases where they are"},
		},
		Summary: "copy an index into a new one, verify it, and move the aliases there",
		Detail: []string{
			"Makes DST, copies the documents, compares both indices, and only then moves the aliases of SRC to DST, all in one step. They never move while a document is missing.",
			"Writes during the copy. block: refused from the beginning until the aliases have moved. catchup: they go on, and what they changed is copied too; only the last pass refuses them. dual: the register has them sent to both indices.",
			"Documents that DST refuses are listed in a file in the thread, with field and reason.",
			"Cancelling or failing before the aliases move ends the run's own copying, allows writes again and deletes DST, if this run made it. SRC stays as it was.",
			"After success SRC stays too, until its hold time is over and es delete-index deletes it; until then es swap-back goes back to it.",
			"While it runs, es reindex throttle changes its rate.",
		},
		Examples: []string{
			"es reindex products-v1 products-v2 --env staging",
			"es reindex products-v1 products-v2 --writes block --shards 6 --env staging",
			"es reindex products-v1 products-v2 --quarantine --max-impact low --throttle 5000 --env staging",
			"es reindex products-v1 products-v2 --read-from b --no-swap --env staging",
		},
		Class: "R2",
		Env:   true,
	}, {
		Path: []string{"es", "reindex", "throttle"},
		Args: []Arg{
			{Name: "ID", Summary: "the run's id, or any ending of it of 5 or more characters; list shows them"},
			{Name: "N", Summary: "documents per second, or none"},
		},
		Summary:  "change how fast a running reindex or campaign copies",
		Detail:   []string{"For the requester and for approvers. It holds from the run's next look, for all that the run copies together; none takes the limit away."},
		Examples: []string{"es reindex throttle 7Q2MK 5000", "es reindex throttle 7Q2MK none"},
		Own:      true,
	}, {
		Path: []string{"es", "campaign"},
		Args: []Arg{{Name: "NAME", Summary: "a campaign of the configuration, or with --to a pattern of index names"}},
		Flags: []Flag{
			{Name: "to", Value: "PATTERN", Summary: "the names of the new indices: * stands for what it stood for in the old name"},
			{Name: "skip", Value: "LIST", Summary: "indices to leave out, separated by commas"},
			{Name: "order", Value: "smallest|given|priority", Summary: "which index is next"},
			{Name: "at-once", Value: "N", Summary: "most indices being copied at a time"},
			{Name: "until", Value: "DURATION", Summary: "begin no index later than this after the start: 6h, 90m"},
			writes,
			{Name: "shards", Value: "N|auto", Summary: "primary shards of each new index; auto: 1 up to 5 million documents, above that one for each whole 5 million and 1 more"},
			{Name: "quarantine", Summary: "documents that a new mapping refuses go to an index of their own instead of stopping their index"},
			{Name: "pipeline", Value: "NAME", Summary: "an ingest pipeline that every document goes through"},
			impact,
			throttle,
			attribute,
			{Name: "indexing-zone", Value: "ZONE", Summary: "build the new indices on nodes of this zone alone, without replicas"},
			{Name: "production-zones", Value: "LIST", Summary: "where finished indices move and get their replicas, separated by commas"},
		},
		Summary: "reindex many indices, each as es reindex does",
		Detail: []string{
			"Hundreds or thousands of indices are one plan with one approval and one thread, which shows how many are done, documents per second, bytes, time left and failures.",
			"Each index has a state of its own: after a crash each goes on where it stood, and one that fails does not end the others.",
			"With --indexing-zone the old indices are kept out of that zone. If one of its nodes is lost, only indices without a replica are copied again.",
			"Cancelling begins no further index and undoes those under way as es reindex does; filters and settings become as before. Indices that are finished stay so: es swap-back takes each of them back.",
			"The old indices stay until their hold time is over; es delete-index --campaign deletes them.",
			"While it runs, es reindex throttle changes its rate.",
		},
		Examples: []string{
			"es campaign blink-v2 --env staging",
			"es campaign 'v1_*' --to 'v2_*' --env staging",
			"es campaign 'v1_*' --to 'v2_*' --skip v1_test,v1_old --at-once 8 --shards auto --until 6h --env staging",
		},
		Class: "R2",
		Env:   true,
	}, {
		Path:    []string{"es", "swap-back"},
		Args:    []Arg{{Name: "DST", Summary: "the index that a reindex made, by its exact name"}},
		Summary: "move aliases back to the index that DST was copied from",
		Detail: []string{
			"What was written to DST since is copied back first, so that nothing is lost. It works as long as the old index is held.",
			"Cancelling or failing before the aliases move leaves them at DST. DST itself stays in any case.",
		},
		Examples: []string{"es swap-back products-v2 --env staging"},
		Class:    "R2",
		Env:      true,
	}, {
		Path: []string{"es", "alias-swap"},
		Args: []Arg{{Name: "ALIAS", Summary: "an alias's exact name", Repeat: true}},
		Flags: []Flag{
			{Name: "from", Value: "INDEX", Summary: "the index they point to now", Required: true},
			{Name: "to", Value: "INDEX", Summary: "the index they are to point to", Required: true},
		},
		Summary: "move aliases from one index to another",
		Detail: []string{
			"All of them move in one step, with their filters, routing and write flag. Documents are neither copied nor compared.",
			"An index that was deleted and made again since the plan is refused.",
			"Cancelling or failing puts the aliases back, unless somebody else moved them meanwhile.",
		},
		Examples: []string{
			"es alias-swap products --from products-v1 --to products-v2 --env staging",
			"es alias-swap products products-read --from products-v1 --to products-v2 --env staging",
		},
		Class: "R2",
		Env:   true,
	}, {
		Path: []string{"es", "delete-index"},
		Args: []Arg{{Name: "INDEX", Summary: "an index's exact name; none with --campaign", Optional: true, Repeat: true}},
		Flags: []Flag{
			{Name: "campaign", Value: "ID", Summary: "all indices that this campaign replaced and whose hold time is over"},
			{Name: "confirm", Value: "NAME", Summary: "the name that the answer asks for, typed by who asks"},
		},
		Summary: "delete indices for good",
		Detail: []string{
			"Exactly the indices on the card are deleted, by name and identity: one that was made again since the plan stays.",
			"If the register has writers write to one of them, it is taken out there first, and the deletion waits until every writer knows.",
			"Nothing brings them back. Cancelling keeps those that are not deleted yet.",
		},
		Examples: []string{
			"es delete-index products-v1 --confirm products-v1 --env staging",
			"es delete-index --campaign 7Q2MK --confirm 7Q2MK --env staging",
		},
		Class: "R3",
		Env:   true,
	}, {
		Path: []string{"es", "zone-move"},
		Args: []Arg{{Name: "PATTERN", Summary: "a pattern of index names, or one name"}},
		Flags: []Flag{
			{Name: "from", Value: "ZONE", Summary: "the zone to leave", Required: true},
			{Name: "to", Value: "ZONE", Summary: "the zone to move to", Required: true},
			attribute,
		},
		Summary: "move indices from the nodes of one zone to those of another",
		Detail: []string{
			"Changes each index's own allocation settings and waits until every copy is in the new zone. The card lists the indices; system, data-stream and closed ones are named and skipped.",
			"After success the new settings stay.",
			"Cancelling or failing puts each index's settings back as they were; shards that moved stay, unless those settings send them back.",
		},
		Examples: []string{"es zone-move 'logs-*' --from a --to b --env staging", "es zone-move logs-1 --from a --to b --attr rack --env staging"},
		Class:    "R2",
		Env:      true,
	}}
}
