package commands

// machinesSpecs is the commands of deploy/machines.
func machinesSpecs() []Spec {
	group := Arg{Name: "GROUP", Summary: "an Auto Scaling group's name"}
	return []Spec{{
		Path:     []string{"asg", "describe"},
		Args:     []Arg{group},
		Summary:  "bounds, instances and newest activities of an Auto Scaling group",
		Examples: []string{"asg describe web-hosts --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path: []string{"asg", "refresh"},
		Args: []Arg{group},
		Flags: []Flag{
			{Name: "min-healthy", Value: "PERCENT", Summary: "how many stay in service all the time; without it 90"},
			{Name: "skip-matching", Summary: "instances that have the present configuration are not replaced"},
		},
		Summary:  "replace a group's instances, a few at a time",
		Detail:   []string{"Another's refresh is never touched. A cancel stops it where it is; instances that were replaced stay replaced."},
		Examples: []string{"asg refresh web-hosts --min-healthy 80 --env staging"},
		Class:    "R2",
		Env:      true,
	}, {
		Path: []string{"scale", "asg"},
		Args: []Arg{group, {Name: "DESIRED", Summary: "how many instances"}},
		Flags: []Flag{
			{Name: "min", Value: "N", Summary: "lower bound; without it as it is"},
			{Name: "max", Value: "N", Summary: "upper bound; without it as it is"},
		},
		Summary:  "how many instances an Auto Scaling group has",
		Detail:   []string{"Done when so many are in service and healthy. A cancel sets number and bounds before, while they are as this run set them."},
		Examples: []string{"scale asg web-hosts 6 --env staging", "scale asg web-hosts 6 --min 4 --max 12 --env staging"},
		Class:    "R2",
		Env:      true,
	}, {
		Path:     []string{"ec2", "terminate"},
		Args:     []Arg{{Name: "INSTANCE", Summary: "an instance's id, or its exact Name tag", Repeat: true}},
		Flags:    []Flag{{Name: "confirm", Value: "ID", Summary: "the first instance's id by the alphabet: terminating needs it"}},
		Summary:  "end instances for good",
		Detail:   []string{"The card lists them; no other is touched. Termination protection is never lifted. Members of an Auto Scaling group are replaced by the group."},
		Examples: []string{"ec2 terminate i-0abc123def456 --confirm i-0abc123def456 --env staging"},
		Class:    "R3",
		Env:      true,
	}}
}
