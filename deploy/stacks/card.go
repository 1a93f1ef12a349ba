package stacks

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/deploy"
	"twokey/ops"
)

// verbs is what a change set does, the gravest first.
var verbs = []string{"replace", "perhaps replace", "remove", "modify", "import", "add"}

// maxNamed is how many resources of each kind of change a card names.
const maxNamed = 12

// card makes the plan: what people agree to, and what they should know.
func (p *planner) card() ops.Plan {
	fresh := !p.exists || p.stack.StackStatus == types.StackStatusReviewInProgress
	counts := map[string]int{}
	var grave []string
	for _, c := range p.set.Changes {
		counts[c.verb()]++
		if c.destroys() {
			grave = append(grave, fmt.Sprintf("%s %s (%s)", c.verb(), c.Path, strings.TrimPrefix(c.Type, "AWS::")))
		}
	}
	summary := ""
	for _, v := range verbs {
		if n := counts[v]; n > 0 {
			summary += ", " + strings.Replace(fmt.Sprintf("%d to %s", n, v), "to perhaps", "perhaps to", 1)
		}
	}
	summary = strings.TrimPrefix(summary, ", ")
	keep := p.call.Flags["keep-on-failure"] == "true"
	word, status := "Update", string(p.stack.StackStatus)
	if fresh {
		word, status = "Create", string(types.StackStatusReviewInProgress)
	}
	plan := ops.Plan{
		Call: p.call, Class: ops.R2,
		Title:   fmt.Sprintf("%s stack %s in %s", word, p.name, p.Where()),
		Effect:  fmt.Sprintf("changes %s: %s", plural(len(p.set.Changes), "resource"), summary),
		Targets: []string{p.name},
		Params:  map[string]string{"change set": p.set.ID, "template": p.input.origin, "template sha256": p.input.sum},
		Steps: []ops.StepRef{{Name: "deploy", Version: deployVersion, Title: "execute change set " + p.set.Name + ", follow it to its end", Params: map[string]string{
			paramEnvironment: p.call.Environment, paramStack: p.name, paramARN: p.set.Stack, paramSet: p.set.ID, paramStatus: status,
			paramTotal: strconv.Itoa(len(p.set.Changes)), paramKeep: strconv.FormatBool(keep), paramNew: strconv.FormatBool(fresh), paramSummary: summary,
		}}},
		Keeps: []string{fmt.Sprintf("%s as the template says. To go back, deploy the earlier template.", p.name)},
		Locks: []string{p.Lock(p.number, "stack", p.name)},
	}
	if !fresh {
		plan.Steps[0].Params[paramUpdated] = updated(p.stack)
	}
	switch {
	case keep:
		plan.Undo = []string{"A failure keeps what was made until then, for people to look at; cfn recover rolls it back. A cancel takes an update back."}
	case fresh:
		plan.Undo = []string{"A failure makes CloudFormation remove what it created; the empty stack stays until cfn delete. A creation cannot be cancelled: it is followed to its end."}
	default:
		plan.Undo = []string{"A failure or a cancel makes CloudFormation bring the stack back to what it was, watched to the end."}
	}
	if len(grave) > 0 {
		plan.Class, plan.Confirm = ops.R3, p.name
		plan.Warnings = append(plan.Warnings, "Resources that hold data or addresses may end: "+brief(grave, maxNamed)+".")
	}
	p.warn(&plan)
	p.show(&plan)
	if whole := p.usual[""]; whole >= time.Second {
		plan.Estimate = ops.Estimate{Low: whole / 2, High: 2 * whole, Basis: "its last operation took " + spoken(whole)}
	}
	return plan
}

// warn says what people should mind.
func (p *planner) warn(plan *ops.Plan) {
	warn := func(format string, args ...any) { plan.Warnings = append(plan.Warnings, fmt.Sprintf(format, args...)) }
	if len(p.summary.Capabilities) > 0 {
		caps := make([]string, len(p.summary.Capabilities))
		for i, c := range p.summary.Capabilities {
			caps[i] = string(c)
		}
		warn("Approving allows %s: the template changes who may do what (%s).", strings.Join(caps, " and "),
			cmp.Or(deploy.Short(deploy.Mask(aws.ToString(p.summary.CapabilitiesReason)), maxValue), "IAM resources, or macros"))
	}
	if d := p.stack.DriftInformation; d != nil && d.StackDriftStatus == types.StackDriftStatusDrifted {
		warn("Somebody changed resources outside CloudFormation: the update may undo that, or fail on it. cfn drift %s lists them.", p.name)
	}
	if p.policy {
		warn("The stack has a policy: CloudFormation may refuse some of the changes.")
	}
	for _, c := range p.set.Changes {
		if c.verb() == "perhaps replace" {
			warn("Whether %s is replaced shows only while it runs.", c.Path)
		}
	}
}

// show lists what was read: the changes, gravest first, and the place.
func (p *planner) show(plan *ops.Plan) {
	show := func(label, format string, args ...any) {
		plan.Shown = append(plan.Shown, ops.Line{Label: label, Text: fmt.Sprintf(format, args...)})
	}
	show("Account", "%s, %s", p.number, p.Region)
	if p.exists {
		show("Stack", "%s; termination protection %s; drift: %s", p.stack.StackStatus,
			map[bool]string{true: "on", false: "off"}[aws.ToBool(p.stack.EnableTerminationProtection)], drift(p.stack.DriftInformation))
	} else {
		show("Stack", "does not exist yet")
	}
	show("Template", "%s", p.input.origin)
	for _, v := range verbs {
		var list []string
		for _, c := range p.set.Changes {
			if c.verb() == v {
				list = append(list, c.text())
			}
		}
		if len(list) > 0 {
			slices.Sort(list)
			show(strings.ToUpper(v[:1])+v[1:], "%s", brief(list, maxNamed))
		}
	}
	if text := p.changedParameters(); text != "" {
		show("Parameters", "%s", text)
	}
	if p.site.ServiceRole != "" {
		show("Role", "CloudFormation works as %s", p.site.ServiceRole)
	}
}

// changedParameters says which parameters get another value: "ImageTag 1.2 → 1.3".
// Values that are or may be secret are masked, and references told instead of values.
func (p *planner) changedParameters() string {
	was := map[string]string{}
	for _, x := range p.stack.Parameters {
		was[aws.ToString(x.ParameterKey)] = aws.ToString(x.ParameterValue)
	}
	var list []string
	kept := 0
	for _, d := range p.summary.Parameters {
		name := aws.ToString(d.ParameterKey)
		v, named := p.input.values[name]
		before, had := was[name]
		switch {
		case !named && had:
			kept++
			continue
		case !named:
			list = append(list, fmt.Sprintf("%s %s (default)", name, deploy.MaskValue(name, aws.ToString(d.DefaultValue))))
			continue
		}
		value := deploy.MaskValue(name, v.Text())
		switch {
		case v.Ref() != "":
			value = "from " + v.Ref()
		case aws.ToBool(d.NoEcho):
			value = deploy.Masked
		case had && before == v.Text():
			kept++
			continue
		}
		switch {
		case !had:
			list = append(list, fmt.Sprintf("%s %s (new)", name, deploy.Short(value, maxValue)))
		case aws.ToBool(d.NoEcho) || v.Ref() != "":
			list = append(list, fmt.Sprintf("%s %s", name, value))
		default:
			list = append(list, fmt.Sprintf("%s %s → %s", name, deploy.Short(deploy.MaskValue(name, before), 60), deploy.Short(value, 60)))
		}
	}
	if kept > 0 {
		list = append(list, fmt.Sprintf("%d as before", kept))
	}
	return brief(list, 20)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// brief joins at most n of the names and says how many more there are.
func brief(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, "; ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], "; "), len(names)-n)
}
