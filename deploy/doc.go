// Package deploy is what all operations on AWS share: the account of an environment, with
// a session of its role per run; a common budget of calls; errors in words; the list of
// what each kind of work may ask of AWS; and the masking of secrets.
//
// The operations are in the packages below: stacks, images, services, machines, data and
// dns. Each makes its clients from Account.ForRun or Account.ForPlan:
//
//	api := cloudformation.NewFromConfig(account.ForRun(tick))
//
// Credentials. An environment with a role_arn is worked on as that role, by AssumeRole, in
// a session named "<Slack user id>-<run id>", so that CloudTrail tells who asked and where
// the approval is. Planning and questions use the session "twokey-<environment>".
//
// Retries. Calls that read are repeated with jitter; calls that write only when AWS says
// that it was asked too often. After a lost reply a step finds out by reading.
//
// Secrets. Values of NoEcho parameters and of names that sound secret, passwords in URLs
// and whatever looks like a key are masked before they leave these packages.
package deploy
