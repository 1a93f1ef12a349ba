package templates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"twokey/ops"
)

// Resolve returns the values with those read that are kept elsewhere. Errors name the
// reference, never a value.
func (s Sources) Resolve(ctx context.Context, cfg aws.Config, values map[string]Value) (map[string]Value, error) {
	out := make(map[string]Value, len(values))
	for name, v := range values {
		if v.ref == "" {
			out[name] = v
			continue
		}
		text, err := s.lookUp(ctx, cfg, v.ref)
		if err != nil {
			return nil, err
		}
		out[name] = Value{text: text, ref: v.ref}
	}
	return out, nil
}

func (s Sources) lookUp(ctx context.Context, cfg aws.Config, ref string) (string, error) {
	kind, name, _ := strings.Cut(ref, ":")
	switch kind {
	case "env":
		return s.variable(ref, name)
	case "ssm":
		out, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		if err != nil || out.Parameter == nil {
			return "", unread(ref, err, "ParameterNotFound")
		}
		return aws.ToString(out.Parameter.Value), nil
	}
	name, key, part := strings.Cut(name, "#")
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return "", unread(ref, err, "ResourceNotFoundException")
	}
	if out.SecretString == nil {
		return "", &ops.UserError{What: fmt.Sprintf("%s is no text", ref), Next: "Name a secret that is kept as text."}
	}
	if !part {
		return *out.SecretString, nil
	}
	var fields map[string]any
	if json.Unmarshal([]byte(*out.SecretString), &fields) != nil { // its error would quote the secret
		return "", &ops.UserError{What: fmt.Sprintf("%s: the secret is no JSON object, so it has no key %s", ref, key), Next: "Name the secret without #KEY."}
	}
	switch v := fields[key].(type) {
	case string:
		return v, nil
	case float64, bool:
		return fmt.Sprint(v), nil
	}
	return "", &ops.UserError{What: fmt.Sprintf("%s: the secret has no key %s with a value", ref, key), Next: "Check the key."}
}

// variable reads an allowed variable of this process.
func (s Sources) variable(ref, name string) (string, error) {
	if !slices.Contains(s.Environment, name) {
		e := &ops.UserError{What: fmt.Sprintf("%s: Twokey's configuration does not allow this variable to be read", ref), Next: "None is allowed."}
		if len(s.Environment) > 0 {
			e.Next = "Allowed are " + strings.Join(s.Environment, ", ") + "."
		}
		return "", e
	}
	v, ok := os.LookupEnv(name)
	if !ok {
		return "", &ops.UserError{What: fmt.Sprintf("%s: the variable is not set in Twokey's process", ref), Next: "Set it, then start Twokey again."}
	}
	return v, nil
}

// unread is the error of a reference that could not be read; absent is AWS's code for one
// that does not exist.
func unread(ref string, err error, absent string) error {
	var api smithy.APIError
	if err == nil || errors.As(err, &api) && api.ErrorCode() == absent {
		return &ops.UserError{What: fmt.Sprintf("there is no %s", ref), Next: "Check the name, the environment and its region.", Err: err}
	}
	return fmt.Errorf("%s: %w", ref, err)
}
