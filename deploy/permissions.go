package deploy

import (
	"encoding/json"
	"maps"
	"slices"
)

// Permission is one IAM action that a kind of work needs.
type Permission struct {
	Action string // "cloudformation:CreateChangeSet"
	// Resource is an ARN pattern with REGION, ACCOUNT and names in capitals to be filled
	// in; "*" where IAM knows no resource for the action.
	Resource string
	Why      string // for people, without a full stop
	// Condition is the statement's condition; nil: none.
	Condition map[string]map[string]string
	// Indirect says that AWS checks the action while it carries out another call: no call
	// has its name.
	Indirect bool
}

// permissions is the one list of what each kind of work may ask of AWS: the guard lets no
// other call out, the policies in docs/aws-permissions.md are made of it, and a test
// compares it with the calls made.
var permissions = merge(stackPermissions, imagePermissions, servicePermissions, machinePermissions, dataPermissions, dnsPermissions)

func merge(lists ...map[string][]Permission) map[string][]Permission {
	all := make(map[string][]Permission)
	for _, l := range lists {
		maps.Copy(all, l)
	}
	return all
}

// Kinds returns the kinds of work that have permissions, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(permissions)) }

// Permissions returns what a kind of work needs, in the order of its list.
func Permissions(kind string) []Permission { return slices.Clone(permissions[kind]) }

// PolicyDocument is the IAM policy that allows a kind of work, and nothing else, as
// indented JSON. Actions with one resource and condition share a statement.
func PolicyDocument(kind string) (string, error) {
	type statement struct {
		Effect    string
		Action    []string
		Resource  string
		Condition map[string]map[string]string `json:",omitempty"`
	}
	var statements []statement
	for _, p := range permissions[kind] {
		i := slices.IndexFunc(statements, func(s statement) bool {
			return s.Resource == p.Resource && same(s.Condition, p.Condition)
		})
		if i < 0 {
			statements = append(statements, statement{"Allow", nil, p.Resource, p.Condition})
			i = len(statements) - 1
		}
		if !slices.Contains(statements[i].Action, p.Action) {
			statements[i].Action = append(statements[i].Action, p.Action)
		}
	}
	for _, s := range statements {
		slices.Sort(s.Action)
	}
	b, err := json.MarshalIndent(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", statements}, "", "  ")
	return string(b), err
}

func same(a, b map[string]map[string]string) bool {
	return maps.EqualFunc(a, b, func(x, y map[string]string) bool { return maps.Equal(x, y) })
}
