package commands

// servicesSpecs is the commands of deploy/services.
func servicesSpecs() []Spec {
	service := Arg{Name: "SERVICE", Summary: "CLUSTER/SERVICE"}
	return []Spec{{
		Path:     []string{"ecs", "status"},
		Args:     []Arg{service},
		Summary:  "deployments, images and newest events of a service, and why tasks stopped",
		Examples: []string{"ecs status web/app --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path: []string{"ecs", "deploy"},
		Args: []Arg{service},
		Flags: []Flag{
			{Name: "image", Value: "IMAGE", Summary: "a digest, a tag, or REPO@DIGEST", Required: true},
			{Name: "container", Value: "NAME", Summary: "whose image changes, where several could be meant"},
		},
		Summary: "deploy an image to a service, by digest",
		Detail: []string{
			"Registers a task definition that differs in this image only, updates the service and follows that deployment by its id: done when it is COMPLETED and every task runs the approved digest.",
			"A deployment that fails, disappears or is replaced is a failure, also where the service is stable again.",
			"A cancel or a failure brings the old definition back, while the service still runs the new one.",
		},
		Examples: []string{"ecs deploy web/app --image v42 --env staging"},
		Class:    "R2",
		Env:      true,
	}, {
		Path: []string{"scale", "ecs"},
		Args: []Arg{service, {Name: "DESIRED", Summary: "how many tasks"}},
		Flags: []Flag{
			{Name: "min", Value: "N", Summary: "lower bound of its own scaling; without it as it is"},
			{Name: "max", Value: "N", Summary: "upper bound of its own scaling; without it as it is"},
		},
		Summary:  "how many tasks a service has",
		Detail:   []string{"Done when so many run. A cancel sets the number and bounds before, while they are as this run set them."},
		Examples: []string{"scale ecs web/app 6 --env staging", "scale ecs web/app 6 --min 4 --max 12 --env staging"},
		Class:    "R2",
		Env:      true,
	}}
}
