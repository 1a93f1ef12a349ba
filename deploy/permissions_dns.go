package deploy

const anyZone = "arn:aws:route53:::hostedzone/*"

// dnsPermissions is what the operations in deploy/dns need of AWS. Cloudflare's token needs
// Zone: Read and DNS: Edit.
var dnsPermissions = map[string][]Permission{
	"dns show": {
		{Action: "route53:ListHostedZones", Resource: "*", Why: "which zone holds a name"},
		{Action: "route53:GetHostedZone", Resource: anyZone, Why: "its authoritative servers"},
		{Action: "route53:ListResourceRecordSets", Resource: anyZone, Why: "the record"},
	},
	"dns switch": {
		{Action: "route53:ListHostedZones", Resource: "*", Why: "which zone holds a name"},
		{Action: "route53:GetHostedZone", Resource: anyZone, Why: "its authoritative servers"},
		{Action: "route53:ListResourceRecordSets", Resource: anyZone, Why: "the record, before and after"},
		{Action: "route53:ChangeResourceRecordSets", Resource: anyZone, Why: "the switch, and its undo"},
		{Action: "route53:GetChange", Resource: "arn:aws:route53:::change/*", Why: "whether all servers have it"},
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "the outputs of the stack that is switched to"},
		{Action: "ec2:DescribeInstances", Resource: "*", Why: "the address of an instance by its Name tag"},
	},
}
