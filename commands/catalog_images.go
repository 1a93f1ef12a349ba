package commands

// imagesSpecs is the commands of deploy/images.
func imagesSpecs() []Spec {
	repo := Arg{Name: "REPO", Summary: "a repository in ECR"}
	repos := Arg{Name: "REPO", Summary: "a repository in ECR", Repeat: true}
	return []Spec{{
		Path:     []string{"image", "list"},
		Args:     []Arg{repo},
		Summary:  "images of a repository, newest first, and who uses them",
		Examples: []string{"image list ws-stage-ecr --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path: []string{"image", "build"},
		Args: []Arg{repos},
		Flags: []Flag{
			{Name: "ref", Value: "COMMIT", Summary: "commit, tag or branch to build", Required: true},
			{Name: "tag", Value: "TAG", Summary: "the images' tag; without it the first 12 digits of the commit"},
		},
		Summary:  "build images from a commit and push them",
		Detail:   []string{"Built by the CodeBuild project that the configuration names. Done when the registry has the digest that the build pushed. A commit that was built is not built again."},
		Examples: []string{"image build ws-stage-ecr ws-stage-hp-ecr --ref v2.1 --env staging"},
		Class:    "R1",
		Env:      true,
	}, {
		Path: []string{"image", "promote"},
		Args: []Arg{repo},
		Flags: []Flag{
			{Name: "from", Value: "IMAGE", Summary: "a tag or a digest", Required: true},
			{Name: "tag", Value: "TAG", Summary: "the tag it gets", Required: true},
		},
		Summary:  "move a tag to another image, without building",
		Detail:   []string{"The card binds to the digests. A cancel puts the tag back while it is still what this run made it."},
		Examples: []string{"image promote ws-prod-ecr --from 3f2c1ab9d0e4 --tag live --env staging"},
		Class:    "R2",
		Env:      true,
	}, {
		Path: []string{"image", "cleanup"},
		Args: []Arg{repos},
		Flags: []Flag{
			{Name: "keep", Value: "N", Summary: "how many of the newest stay in any case", Required: true},
			{Name: "older-than", Value: "DAYS", Summary: "only images neither pushed nor pulled for so long, like 30d"},
			{Name: "confirm", Value: "REPO", Summary: "the first repository's name by the alphabet: deleting needs it"},
		},
		Summary: "delete images that nothing uses",
		Detail: []string{
			"Kept is what an active task definition, a service, a task or a stack's parameter names, by tag or digest, with the parts of images of several platforms. It is looked at again before each deletion.",
			"The list on the card is all a run may delete.",
		},
		Examples: []string{"image cleanup ws-stage-ecr --keep 10 --older-than 30d --confirm ws-stage-ecr --env staging"},
		Class:    "R3",
		Env:      true,
	}}
}
