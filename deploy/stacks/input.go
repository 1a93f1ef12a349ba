package stacks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"twokey/deploy/templates"
	"twokey/ops"
)

// input is what a person asked to be deployed: a template and values of parameters.
type input struct {
	body   string
	origin string // for people: "waffle@3f2c1ab9d0e4:deploy/stack.json"
	sum    string // SHA-256 of body, hex
	values map[string]templates.Value
	typed  map[string]bool // the values that were typed, not read from a file
	tags   []types.Tag     // nil: as they are
}

// maxBody is the longest template that can be sent itself, in bytes
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html).
const maxBody = 51200

// input reads template and parameters of a call. References are resolved.
func (s Site) input(ctx context.Context, call ops.Call) (input, error) {
	cfg := s.ForPlan(call.Kind)
	name, at := call.Flags["template"], call.Flags["ref"]
	if name == "" {
		return input{}, &ops.UserError{What: "Which template?", Next: "Give --template FILE, REPOSITORY:PATH with --ref, or s3://BUCKET/KEY."}
	}
	file, err := s.Sources.Read(ctx, cfg, name, at)
	if err != nil {
		return input{}, s.Explain(err)
	}
	in := input{body: string(file.Body), origin: file.Origin, sum: file.SHA256(), values: map[string]templates.Value{}}
	if from := call.Flags["parameters"]; from != "" {
		ref := at
		if !strings.Contains(from, ":") || strings.Contains(from, "://") {
			ref = "" // --ref may be about the template only
		}
		f, err := s.Sources.Read(ctx, cfg, from, ref)
		if err != nil {
			return input{}, s.Explain(err)
		}
		if in.values, err = templates.ParseParameters(f.Origin, f.Body); err != nil {
			return input{}, err
		}
	}
	typed, err := assignments(call.Flags["set"])
	if err != nil {
		return input{}, err
	}
	maps.Copy(in.values, typed)
	in.typed = map[string]bool{}
	for name, v := range typed {
		in.typed[name] = v.Ref() == ""
	}
	if in.values, err = s.Sources.Resolve(ctx, cfg, in.values); err != nil {
		return input{}, s.Explain(err)
	}
	tags, err := assignments(call.Flags["tags"])
	if err != nil {
		return input{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		in.tags = append(in.tags, types.Tag{Key: &key, Value: aws.String(tags[key].Text())})
	}
	return in, nil
}

// assignments reads "A=1,B=2" of a flag; empty: none.
func assignments(text string) (map[string]templates.Value, error) {
	if text == "" {
		return nil, nil
	}
	return templates.ParseAssignments(text)
}

// place fills in where CloudFormation finds the template: in the call itself, or, where it
// is too long for that, in the bucket, to which it is put under its own sum.
func (p *planner) place(ctx context.Context, body, url **string) error {
	if len(p.input.body) <= maxBody {
		*body = &p.input.body
		return nil
	}
	if p.site.Bucket == "" {
		return &ops.UserError{
			What: fmt.Sprintf("the template %s has %d bytes; CloudFormation takes more than %d from S3 only", p.input.origin, len(p.input.body), maxBody),
			Next: "Name a bucket in the configuration (aws: template_bucket).",
		}
	}
	cfg := p.site.ForPlan(p.call.Kind)
	key := templateKey(p.input.sum)
	if !p.placed {
		_, err := storage(cfg).PutObject(ctx, &s3.PutObjectInput{Bucket: &p.site.Bucket, Key: &key, Body: strings.NewReader(p.input.body)})
		if err != nil {
			return p.Explain(fmt.Errorf("put the template into %s: %w", p.site.Bucket, err))
		}
		p.placed = true
	}
	at := fmt.Sprintf("https://%s.s3.%s.amazonaws.com/%s", p.site.Bucket, p.Region, key)
	if cfg.BaseEndpoint != nil {
		at = fmt.Sprintf("%s/%s/%s", *cfg.BaseEndpoint, p.site.Bucket, key)
	}
	*url = &at
	return nil
}
