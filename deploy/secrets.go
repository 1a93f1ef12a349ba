package deploy

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// HasSecret reports whether a secret of Secrets Manager exists and is not on its way out; its
// value is not read. Behind the name, or an ARN's seven parts, there may be a key, a stage
// and a version.
func (a *Account) HasSecret(ctx context.Context, cfg aws.Config, ref string) (bool, error) {
	parts := 1
	if strings.HasPrefix(ref, "arn:") {
		parts = 7
	}
	split := strings.SplitN(ref, ":", parts+1)
	id := strings.Join(split[:min(parts, len(split))], ":")
	out, err := secretsmanager.NewFromConfig(cfg).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if gone := new(secretstypes.ResourceNotFoundException); errors.As(err, &gone) {
		return false, nil
	}
	if err != nil {
		return false, a.Explain(err)
	}
	return out.DeletedDate == nil, nil
}

// HasParameter reports whether a parameter of Parameter Store exists; its value is not read.
// ARNs do not tell whether its name begins with a slash, so both names will do.
func (a *Account) HasParameter(ctx context.Context, cfg aws.Config, name string) (bool, error) {
	bare := strings.TrimPrefix(name, "/")
	out, err := ssm.NewFromConfig(cfg).DescribeParameters(ctx, &ssm.DescribeParametersInput{ParameterFilters: []ssmtypes.ParameterStringFilter{{
		Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{bare, "/" + bare},
	}}})
	if err != nil {
		return false, a.Explain(err)
	}
	return len(out.Parameters) > 0, nil
}
