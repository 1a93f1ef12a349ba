package stacks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/deploy"
)

// writer reads the stacks of one account and changes them.
type writer struct {
	reader
	api ChangeSets
}

func newWriter(a *deploy.Account, cfg aws.Config) *writer {
	api := cloudformation.NewFromConfig(cfg)
	return &writer{reader{a, api}, api}
}

// changeSet is a change set as CloudFormation tells it, with those nested in it.
type changeSet struct {
	ID, Name  string
	Stack     string // ARN
	Status    types.ChangeSetStatus
	Execution types.ExecutionStatus
	Reason    string
	Changes   []change
}

// change is what a change set would do to one resource.
type change struct {
	Path        string // logical id, behind those of the stacks it is nested in: "Workers.Queue"
	Type        string // "AWS::SQS::Queue"
	Action      types.ChangeAction
	Replacement types.Replacement
	Policy      types.PolicyAction
	Why         string // what changes: "QueueName, tags"
}

// errNoSet says that a change set does not exist (any more).
var errNoSet = errors.New("there is no such change set")

// changeSet reads a change set by ARN, all its pages and all those nested in it.
func (w *writer) changeSet(ctx context.Context, arn string) (changeSet, error) {
	return w.readSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &arn}, "", maxNesting)
}

func (w *writer) readSet(ctx context.Context, in *cloudformation.DescribeChangeSetInput, path string, depth int) (changeSet, error) {
	var s changeSet
	for {
		out, err := w.api.DescribeChangeSet(ctx, in)
		if gone := new(types.ChangeSetNotFoundException); errors.As(err, &gone) || isAbsent(err) {
			return changeSet{}, errNoSet
		}
		if err != nil {
			return changeSet{}, w.Explain(err)
		}
		s.ID, s.Name, s.Stack = aws.ToString(out.ChangeSetId), aws.ToString(out.ChangeSetName), aws.ToString(out.StackId)
		s.Status, s.Execution, s.Reason = out.Status, out.ExecutionStatus, aws.ToString(out.StatusReason)
		for _, c := range out.Changes {
			r := c.ResourceChange
			if r == nil {
				continue
			}
			x := change{
				Path: path + aws.ToString(r.LogicalResourceId), Type: aws.ToString(r.ResourceType),
				Action: r.Action, Replacement: r.Replacement, Policy: r.PolicyAction, Why: whatChanges(r),
			}
			child := aws.ToString(r.ChangeSetId)
			if child == "" || depth == 0 {
				s.Changes = append(s.Changes, x)
				continue
			}
			inner, err := w.readSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &child}, x.Path+".", depth-1)
			if err != nil {
				return changeSet{}, fmt.Errorf("nested change set of %s: %w", x.Path, err)
			}
			// A nested stack that only carries changes is not one itself.
			if len(inner.Changes) == 0 || x.Action != types.ChangeActionModify || x.Replacement == types.ReplacementTrue {
				s.Changes = append(s.Changes, x)
			}
			s.Changes = append(s.Changes, inner.Changes...)
		}
		if aws.ToString(out.NextToken) == "" {
			return s, nil
		}
		in.NextToken = out.NextToken
	}
}

// whatChanges names the properties that a change is about, those first that need the
// resource to be replaced.
func whatChanges(r *types.ResourceChange) string {
	recreates := map[string]bool{}
	for _, d := range r.Details {
		if d.Target == nil {
			continue
		}
		name := aws.ToString(d.Target.Name)
		if name == "" {
			name = strings.ToLower(string(d.Target.Attribute))
		}
		needed := d.Target.RequiresRecreation
		recreates[name] = recreates[name] || needed != types.RequiresRecreationNever && needed != ""
	}
	names := slices.SortedFunc(maps.Keys(recreates), func(a, b string) int {
		if recreates[a] != recreates[b] {
			return map[bool]int{true: -1, false: 1}[recreates[a]]
		}
		return strings.Compare(a, b)
	})
	return strings.Join(names, ", ")
}

// verb is what happens to the resource, for people.
func (c change) verb() string {
	switch {
	case c.Action == types.ChangeActionAdd:
		return "add"
	case c.Action == types.ChangeActionRemove:
		return "remove"
	case c.Action == types.ChangeActionImport:
		return "import"
	case c.Replacement == types.ReplacementTrue:
		return "replace"
	case c.Replacement == types.ReplacementConditional:
		return "perhaps replace"
	}
	return "modify"
}

// text names the resource and why: "Database (RDS::DBInstance): DBInstanceClass".
func (c change) text() string {
	s := fmt.Sprintf("%s (%s)", c.Path, strings.TrimPrefix(c.Type, "AWS::"))
	if c.Why != "" {
		s += ": " + c.Why
	}
	switch c.Policy {
	case types.PolicyActionRetain, types.PolicyActionReplaceAndRetain:
		s += ", the old one is kept"
	case types.PolicyActionSnapshot, types.PolicyActionReplaceAndSnapshot:
		s += ", after a snapshot"
	}
	return s
}

// destroys reports whether the change may end a resource that holds what cannot be made
// again.
func (c change) destroys() bool {
	switch c.verb() {
	case "remove", "replace", "perhaps replace":
		return stateful[c.Type] && c.Policy != types.PolicyActionRetain && c.Policy != types.PolicyActionReplaceAndRetain
	}
	return false
}

// stateful is the types of resources that hold data, keys or addresses others know.
var stateful = map[string]bool{
	"AWS::Backup::BackupVault":             true,
	"AWS::CertificateManager::Certificate": true,
	"AWS::Cognito::UserPool":               true,
	"AWS::DocDB::DBCluster":                true,
	"AWS::DynamoDB::GlobalTable":           true,
	"AWS::DynamoDB::Table":                 true,
	"AWS::EC2::EIP":                        true,
	"AWS::EC2::Volume":                     true,
	"AWS::ECR::Repository":                 true,
	"AWS::EFS::FileSystem":                 true,
	"AWS::ElastiCache::CacheCluster":       true,
	"AWS::ElastiCache::ReplicationGroup":   true,
	"AWS::Elasticsearch::Domain":           true,
	"AWS::FSx::FileSystem":                 true,
	"AWS::KMS::Key":                        true,
	"AWS::Kinesis::Stream":                 true,
	"AWS::Logs::LogGroup":                  true,
	"AWS::MSK::Cluster":                    true,
	"AWS::MemoryDB::Cluster":               true,
	"AWS::Neptune::DBCluster":              true,
	"AWS::OpenSearchService::Domain":       true,
	"AWS::RDS::DBCluster":                  true,
	"AWS::RDS::DBInstance":                 true,
	"AWS::Redshift::Cluster":               true,
	"AWS::Route53::HostedZone":             true,
	"AWS::S3::Bucket":                      true,
	"AWS::SQS::Queue":                      true,
	"AWS::SecretsManager::Secret":          true,
	"AWS::Timestream::Table":               true,
}

// unchanged reports whether CloudFormation says that a change set failed for having
// nothing to change. It has no code for that.
func (s changeSet) unchanged() bool {
	return s.Status == types.ChangeSetStatusFailed && (strings.Contains(s.Reason, "didn't contain changes") ||
		strings.Contains(s.Reason, "No updates are to be performed"))
}

// executed reports whether the change set was executed, or is being.
func (s changeSet) executed() bool {
	switch s.Execution {
	case types.ExecutionStatusExecuteInProgress, types.ExecutionStatusExecuteComplete, types.ExecutionStatusExecuteFailed:
		return true
	}
	return false
}
