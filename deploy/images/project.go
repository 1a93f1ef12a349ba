package images

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"twokey/deploy/templates"
	"twokey/ops"
)

// project sees that a project of CodeBuild exists, and what its builds read by reference:
// a secret that is gone fails each of them. The answer is for the card.
func (s Site) project(ctx context.Context, cfg aws.Config, name string) (string, error) {
	out, err := codebuild.NewFromConfig(cfg).BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{name}})
	if err != nil {
		return "", s.Explain(err)
	}
	if len(out.Projects) != 1 {
		return "", &ops.UserError{What: fmt.Sprintf("there is no CodeBuild project %s in %s", name, s.Where()), Next: "Correct it in the configuration (aws: builds)."}
	}
	var reads []string
	if e := out.Projects[0].Environment; e != nil {
		for _, v := range e.EnvironmentVariables {
			var there bool
			switch v.Type {
			case types.EnvironmentVariableTypeSecretsManager:
				there, err = s.HasSecret(ctx, cfg, aws.ToString(v.Value))
			case types.EnvironmentVariableTypeParameterStore:
				there, err = s.HasParameter(ctx, cfg, aws.ToString(v.Value))
			default:
				continue
			}
			if err != nil {
				return "", err
			}
			if !there {
				return "", &ops.UserError{What: fmt.Sprintf("the project %s reads %s from %s, which does not exist", name, aws.ToString(v.Name), aws.ToString(v.Value)), Next: "Create it, or correct the project."}
			}
			reads = append(reads, aws.ToString(v.Name))
		}
	}
	if len(reads) == 0 {
		return "CodeBuild project " + name, nil
	}
	slices.Sort(reads)
	return fmt.Sprintf("CodeBuild project %s, which reads %s by reference, all there", name, strings.Join(reads, ", ")), nil
}

// dockerfile refuses a commit without the file that is built from; empty: none is known.
func dockerfile(tree templates.Tree, name string) error {
	if name == "" {
		return nil
	}
	files, err := tree.Files(path.Dir(name))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(files, func(f templates.TreeFile) bool { return f.Name == path.Base(name) }) {
		return &ops.UserError{What: fmt.Sprintf("%s has no %s", tree, name), Next: "Check the commit, or the configuration (aws: builds)."}
	}
	return nil
}
