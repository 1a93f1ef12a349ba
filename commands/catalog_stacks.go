package commands

// stacksSpecs is the commands of deploy/stacks.
func stacksSpecs() []Spec {
	stack := []Arg{{Name: "STACK", Summary: "a stack's name or ARN"}}
	return []Spec{{
		Path:     []string{"cfn", "describe"},
		Args:     stack,
		Summary:  "a stack's status, outputs, parameters, tags and protection",
		Detail:   []string{"Secret parameters are masked."},
		Examples: []string{"cfn describe web --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path:     []string{"cfn", "events"},
		Args:     stack,
		Summary:  "what happened to a stack lately, and what failed first",
		Examples: []string{"cfn events web --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path:     []string{"cfn", "outputs"},
		Args:     stack,
		Summary:  "a stack's outputs",
		Examples: []string{"cfn outputs web --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path:     []string{"cfn", "drift"},
		Args:     stack,
		Summary:  "what was changed outside CloudFormation",
		Detail:   []string{"What was found less than five minutes ago is told again. A detection that takes longer than some seconds goes on; ask again."},
		Examples: []string{"cfn drift web --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path:     []string{"cfn", "validate"},
		Args:     []Arg{{Name: "TEMPLATE", Summary: "FILE of the configured folder, REPOSITORY:PATH with --ref, or s3://BUCKET/KEY"}},
		Flags:    []Flag{{Name: "ref", Value: "COMMIT", Summary: "commit, tag or branch of the repository"}},
		Summary:  "what CloudFormation says of a template",
		Detail:   []string{"Nothing is made. Whether the resources can be made shows only in a deploy."},
		Examples: []string{"cfn validate web.yaml --env staging", "cfn validate waffle:deployment/stack.json --ref v2.1 --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path:     []string{"cfn", "watch"},
		Args:     stack,
		Summary:  "follow what somebody else is doing to a stack, to its end",
		Detail:   []string{"The thread shows resources done, those longest in work, and at the end how it ended and what failed first. Nothing is changed."},
		Examples: []string{"cfn watch web --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path: []string{"cfn", "deploy"},
		Args: []Arg{{Name: "STACK", Summary: "the stack's name; one that does not exist is created"}},
		Flags: []Flag{
			{Name: "template", Value: "T", Summary: "FILE of the configured folder, REPOSITORY:PATH with --ref, or s3://BUCKET/KEY", Required: true},
			{Name: "ref", Value: "COMMIT", Summary: "commit, tag or branch of the repository"},
			{Name: "parameters", Value: "FILE", Summary: "parameters in YAML, or as lines export KEY=value; found as the template is"},
			{Name: "set", Value: "K=V", Summary: "one parameter, or several by comma; goes before the file"},
			{Name: "tags", Value: "K=V", Summary: "the stack's tags by comma; without it they stay as they are"},
			{Name: "keep-on-failure", Summary: "a failure is not rolled back, for people to look at"},
			{Name: "confirm", Value: "STACK", Summary: "the stack's name, where resources that hold data are replaced or removed (R3)"},
		},
		Summary: "create or update a stack from a template",
		Detail: []string{
			"The plan is a change set: the card shows what is added, modified, replaced and removed, and approving agrees to exactly that. Not approved, it is deleted again.",
			"Parameters that nobody names keep their values. A value may be a reference (ssm:/NAME, secret:NAME, env:NAME), which is shown in its place.",
			"Where a resource that holds data is replaced or removed, two people must agree (R3).",
			"A cancel takes an update back; a creation cannot be cancelled and is followed to its end.",
		},
		Examples: []string{
			"cfn deploy web --template web.yaml --set ImageTag=2026-11-26 --env staging",
			"cfn deploy wsstage --template waffle:deployment/stack.json --ref v2.1 --parameters waffle:settings/stage.txt --env staging",
		},
		Class: "R2",
		Env:   true,
	}, {
		Path: []string{"cfn", "recover"},
		Args: stack,
		Flags: []Flag{
			{Name: "skip", Value: "NAMES", Summary: "resources, by comma, that are taken for rolled back without being touched"},
			{Name: "confirm", Value: "STACK", Summary: "the stack's name: recovering needs it"},
		},
		Summary: "bring a stack that failed in its rollback to a stable status",
		Detail: []string{
			"From UPDATE_ROLLBACK_FAILED the rollback is continued; from UPDATE_FAILED and CREATE_FAILED, kept by --keep-on-failure, the stack is rolled back.",
			"Skipped resources stay inconsistent with the template; the ending names them.",
		},
		Examples: []string{"cfn recover web --confirm web --env staging", "cfn recover web --skip Service --confirm web --env staging"},
		Class:    "R3",
		Env:      true,
	}, {
		Path: []string{"cfn", "delete"},
		Args: stack,
		Flags: []Flag{
			{Name: "retain", Value: "NAMES", Summary: "resources, by comma, to be left where a deletion failed on them before"},
			{Name: "confirm", Value: "STACK", Summary: "the stack's name: deleting needs it"},
		},
		Summary: "delete a stack",
		Detail: []string{
			"Deleted by its ARN; done when CloudFormation says DELETE_COMPLETE of that. Termination protection is never lifted, and a stack whose outputs others import is refused.",
			"There is no undo, and a deletion cannot be cancelled.",
		},
		Examples: []string{"cfn delete web --confirm web --env staging"},
		Class:    "R3",
		Env:      true,
	}}
}
