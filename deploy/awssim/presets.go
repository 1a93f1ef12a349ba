package awssim

import (
	"strings"
	"time"
)

// Presets are stacks in the states that matter: web is complete and protected,
// checkout was rolled back when a queue failed, search is being updated and will be done
// in ten minutes from now, reports was rolled back because of a resource in a
// nested stack that is gone since, and old-web is deleted.
func Presets(region, account string, now time.Time) []Stack {
	b := builder{region: region, account: account}
	b.web(now.Add(-72 * time.Hour))
	b.checkout(now.Add(-3 * time.Hour))
	b.search(now)
	b.reports(now.Add(-26 * time.Hour))
	b.oldWeb(now.Add(-240 * time.Hour))
	return b.stacks
}

type builder struct {
	region, account string
	stacks          []Stack
}

func (b *builder) arn(name string) string {
	serial := strings.Repeat("0", 12-len(name)%12) + strings.Repeat("1", len(name)%12)
	return "arn:aws:cloudformation:" + b.region + ":" + b.account + ":stack/" + name + "/11111111-2222-3333-4444-" + serial
}

// story writes events one after the other.
type story struct {
	s  *Stack
	at time.Time
}

func (b *builder) stack(name string, start time.Time) *story {
	return &story{s: &Stack{Name: name, ID: b.arn(name)}, at: start}
}

// own adds an event of the stack itself, some seconds after the one before.
func (t *story) own(after int, status, reason string) {
	t.add(after, t.s.Name, t.s.ID, stackType, status, reason)
}

func (t *story) add(after int, logical, physical, kind, status, reason string) {
	t.at = t.at.Add(time.Duration(after) * time.Second)
	t.s.Events = append(t.s.Events, Event{
		At: t.at, Logical: logical, Physical: physical, Type: kind, Status: status, Reason: reason,
	})
}

func (b *builder) web(start time.Time) {
	t := b.stack("web", start)
	t.s.Description = "Web service behind a public load balancer"
	t.s.Protected, t.s.Drift = true, "IN_SYNC"
	t.s.Parameters = []Parameter{
		{Key: "ImageTag", Value: "2026-11-18"},
		{Key: "ImageId", Value: "/images/web", Resolved: "ami-0abcdef1234567890"},
		{Key: "DatabasePassword", Value: "never shown", NoEcho: true},
		{Key: "CacheUrl", Value: "redis://web:hunter2@cache.example:6379/0"},
		{Key: "PaymentApiKey", Value: "pk-live-1234"},
	}
	t.s.Outputs = []Output{
		{Key: "Url", Value: "https://web.example", Description: "Public address"},
		{Key: "Cluster", Value: "web-cluster", Export: "web-cluster"},
	}
	t.s.Tags = []Tag{{"team", "storefront"}, {"cost-centre", "1207"}}
	t.own(0, "CREATE_IN_PROGRESS", "User Initiated")
	t.add(2, "Cluster", "web-cluster", "AWS::ECS::Cluster", "CREATE_IN_PROGRESS", "")
	t.add(20, "Cluster", "web-cluster", "AWS::ECS::Cluster", "CREATE_COMPLETE", "")
	t.own(2, "CREATE_COMPLETE", "")
	t.own(86400, "UPDATE_IN_PROGRESS", "User Initiated")
	t.add(3, "Service", "web-service", "AWS::ECS::Service", "UPDATE_IN_PROGRESS", "")
	t.add(95, "Service", "web-service", "AWS::ECS::Service", "UPDATE_COMPLETE", "")
	t.own(1, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "")
	t.own(2, "UPDATE_COMPLETE", "")
	t.s.Template = WebTemplate
	b.stacks = append(b.stacks, *t.s)
}

func (b *builder) checkout(start time.Time) {
	t := b.stack("checkout", start)
	t.s.Description = "Orders and their queue"
	t.s.Parameters = []Parameter{{Key: "QueueName", Value: "orders queue"}}
	t.own(0, "CREATE_IN_PROGRESS", "User Initiated")
	t.add(2, "Table", "", "AWS::DynamoDB::Table", "CREATE_IN_PROGRESS", "")
	t.add(0, "Orders", "", "AWS::SQS::Queue", "CREATE_IN_PROGRESS", "")
	t.add(3, "Orders", "", "AWS::SQS::Queue", "CREATE_FAILED",
		`Resource handler returned message: "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length (Service: Sqs, Status Code: 400)" (HandlerErrorCode: InvalidRequest)`)
	t.add(0, "Table", "checkout-Table", "AWS::DynamoDB::Table", "CREATE_FAILED", "Resource creation cancelled")
	t.own(1, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Orders, Table]. Rollback requested by user.")
	t.add(8, "Table", "checkout-Table", "AWS::DynamoDB::Table", "DELETE_COMPLETE", "")
	t.own(2, "ROLLBACK_COMPLETE", "")
	b.stacks = append(b.stacks, *t.s)
}

func (b *builder) search(now time.Time) {
	t := b.stack("search", now.Add(-48*time.Hour))
	t.s.Description = "Search cluster"
	t.s.Parameters = []Parameter{{Key: "InstanceType", Value: "m5.large"}}
	t.own(0, "CREATE_IN_PROGRESS", "User Initiated")
	t.own(240, "CREATE_COMPLETE", "")
	t.at = now.Add(-2 * time.Minute)
	t.own(0, "UPDATE_IN_PROGRESS", "User Initiated")
	for _, zone := range []string{"ZoneA", "ZoneB", "ZoneC"} {
		t.add(5, zone, "search-"+zone, "AWS::AutoScaling::AutoScalingGroup", "UPDATE_IN_PROGRESS", "")
		t.add(230, zone, "search-"+zone, "AWS::AutoScaling::AutoScalingGroup", "UPDATE_COMPLETE", "")
	}
	t.own(5, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "")
	t.own(10, "UPDATE_COMPLETE", "")
	b.stacks = append(b.stacks, *t.s)
}

func (b *builder) reports(start time.Time) {
	t := b.stack("reports", start)
	child := b.stack("reports-Workers-1ABCDEFGHIJKL", start)
	child.s.Parent = t.s.ID
	t.s.Description = "Nightly reports"
	t.own(0, "CREATE_IN_PROGRESS", "User Initiated")
	t.own(60, "CREATE_COMPLETE", "")
	t.own(3600, "UPDATE_IN_PROGRESS", "User Initiated")
	t.add(2, "Workers", child.s.ID, stackType, "CREATE_IN_PROGRESS", "")
	child.at = t.at
	child.own(1, "CREATE_IN_PROGRESS", "")
	child.add(4, "Role", "", "AWS::IAM::Role", "CREATE_IN_PROGRESS", "")
	child.add(2, "Role", "", "AWS::IAM::Role", "CREATE_FAILED", "reports-role already exists in stack "+b.arn("web"))
	child.own(1, "CREATE_FAILED", "The following resource(s) failed to create: [Role]. ")
	child.own(4, "DELETE_IN_PROGRESS", "")
	child.own(3, "DELETE_COMPLETE", "")
	t.add(9, "Workers", child.s.ID, stackType, "CREATE_FAILED",
		"Embedded stack "+child.s.ID+" was not successfully created: The following resource(s) failed to create: [Role]. ")
	t.own(1, "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Workers]. ")
	t.own(1, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
	t.add(6, "Workers", child.s.ID, stackType, "DELETE_COMPLETE", "")
	t.own(1, "UPDATE_ROLLBACK_COMPLETE", "")
	b.stacks = append(b.stacks, *t.s, *child.s)
}

func (b *builder) oldWeb(start time.Time) {
	t := b.stack("old-web", start)
	t.own(0, "CREATE_IN_PROGRESS", "User Initiated")
	t.own(30, "CREATE_COMPLETE", "")
	t.own(86400, "DELETE_IN_PROGRESS", "User Initiated")
	t.own(40, "DELETE_COMPLETE", "")
	b.stacks = append(b.stacks, *t.s)
}

// WebTemplate is what the preset stack web is made of.
const WebTemplate = `# A web service and its cluster.
Description: Storefront behind the public load balancer
Parameters:
  ImageTag: {Type: String}
  ImageId: {Type: String, Default: /images/web}
  DatabasePassword: {Type: String, NoEcho: true}
  CacheUrl: {Type: String}
  PaymentApiKey: {Type: String}
Resources:
  Cluster: {Type: AWS::ECS::Cluster, Properties: {ClusterName: web-cluster}}
  Service:
    Type: AWS::ECS::Service
    Properties: {Cluster: !Ref Cluster, Image: !Sub "web:${ImageTag}"}
    Metadata: {Simulate: {Seconds: 40}}
Outputs:
  Url: {Value: "https://web.example"}
`
