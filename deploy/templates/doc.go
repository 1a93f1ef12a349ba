// Package templates is where the text of deploys comes from: CloudFormation templates,
// parameter files and directories of sites, from a configured folder, a git repository at a
// commit, or S3; and parameters whose values are kept elsewhere and given by reference.
//
//	web.yaml                      a file of the environment's folder
//	waffle:deployment/stack.json  a file of the configured repository waffle, with --ref
//	s3://bucket/key               an object, with ?versionId=… of one version
//
// What is read from a repository names its full commit, however it was asked for: a branch
// moves, a plan does not.
//
// References to values: ssm:/path/name (Parameter Store, decrypted), secret:NAME and
// secret:NAME#key (Secrets Manager, a key of its JSON), env:NAME (a variable of Twokey's
// own process that the configuration allows). They are shown in place of the values, which
// reach CloudFormation only.
package templates
