package commands

// dataSpecs is the commands of deploy/data.
func dataSpecs() []Spec {
	queue := []Arg{{Name: "QUEUE", Summary: "a queue's name; that of a FIFO queue ends in .fifo"}}
	cluster := []Arg{{Name: "CLUSTER", Summary: "a cluster's id, like j-2AXXXXXXGAPLF"}}
	return []Spec{{
		Path:     []string{"s3", "create"},
		Args:     []Arg{{Name: "BUCKET", Summary: "the bucket's name"}},
		Flags:    []Flag{{Name: "versioning", Summary: "earlier versions of objects are kept"}},
		Summary:  "create a bucket that nobody outside can read",
		Examples: []string{"s3 create etl-input-2026 --env staging"},
		Class:    "R1",
		Env:      true,
	}, {
		Path: []string{"site", "sync"},
		Args: []Arg{{Name: "SOURCE", Summary: "REPOSITORY:DIRECTORY"}, {Name: "BUCKET", Summary: "BUCKET or BUCKET/PREFIX"}},
		Flags: []Flag{
			{Name: "ref", Value: "COMMIT", Summary: "commit, tag or branch", Required: true},
			{Name: "delete", Summary: "objects are deleted that the commit does not have"},
			{Name: "distribution", Value: "ID", Summary: "the CloudFront distribution to invalidate afterwards"},
		},
		Summary:  "make a bucket's objects the files of a commit",
		Detail:   []string{"Only what differs is uploaded, pages last. There is no undo: to go back, sync the earlier commit."},
		Examples: []string{"site sync frontend:dist www-example-org --ref v12 --distribution E2EXAMPLE --env staging"},
		Class:    "R2",
		Env:      true,
	}, {
		Path: []string{"sqs", "create"},
		Args: queue,
		Flags: []Flag{
			{Name: "visibility", Value: "TIME", Summary: "how long a received message stays hidden"},
			{Name: "retention", Value: "TIME", Summary: "how long messages are kept"},
			{Name: "dead-letter", Value: "QUEUE", Summary: "where messages go that were received too often"},
			{Name: "max-receives", Value: "N", Summary: "with --dead-letter: how often is too often"},
		},
		Summary:  "create a queue",
		Examples: []string{"sqs create etl-input --visibility 5m --env staging"},
		Class:    "R1",
		Env:      true,
	}, {
		Path:     []string{"sqs", "watch"},
		Args:     queue,
		Flags:    []Flag{{Name: "for", Value: "TIME", Summary: "how long at most; without it 30m"}},
		Summary:  "follow a queue until it is empty",
		Examples: []string{"sqs watch etl-input --for 2h --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path:     []string{"emr", "status"},
		Args:     cluster,
		Summary:  "a cluster's state and its steps",
		Examples: []string{"emr status j-2AXXXXXXGAPLF --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path: []string{"emr", "create"},
		Args: []Arg{{Name: "NAME", Summary: "the cluster's name"}},
		Flags: []Flag{
			{Name: "workers", Value: "N", Summary: "how many workers", Required: true},
			{Name: "type", Value: "TYPE", Summary: "of all machines; without it m5.xlarge"},
			{Name: "release", Value: "RELEASE", Summary: "EMR's release; without it emr-7.1.0"},
			{Name: "logs", Value: "S3", Summary: "where logs go: s3://BUCKET/PREFIX"},
			{Name: "subnet", Value: "ID", Summary: "where the machines are"},
			{Name: "role", Value: "ROLE", Summary: "EMR's role; without it EMR_DefaultRole"},
			{Name: "instance-role", Value: "ROLE", Summary: "the machines' role; without it EMR_EC2_DefaultRole"},
		},
		Summary:  "start a Spark cluster",
		Examples: []string{"emr create index-2026 --workers 8 --env staging"},
		Class:    "R2",
		Env:      true,
	}, {
		Path: []string{"emr", "step"},
		Args: cluster,
		Flags: []Flag{
			{Name: "script", Value: "S3", Summary: "a job for spark-submit"},
			{Name: "jar", Value: "S3", Summary: "a jar to run"},
			{Name: "args", Value: "ARGS", Summary: "its arguments, in quotes"},
		},
		Summary:  "run a step on a cluster and follow it",
		Examples: []string{"emr step j-2AXXXXXXGAPLF --script s3://jobs/index.py --args 'index-a index-b' --env staging"},
		Class:    "R2",
		Env:      true,
	}, {
		Path:     []string{"emr", "terminate"},
		Args:     cluster,
		Flags:    []Flag{{Name: "confirm", Value: "CLUSTER", Summary: "the cluster's id: terminating needs it"}},
		Summary:  "end a cluster",
		Detail:   []string{"Termination protection is never lifted. There is no undo."},
		Examples: []string{"emr terminate j-2AXXXXXXGAPLF --confirm j-2AXXXXXXGAPLF --env staging"},
		Class:    "R3",
		Env:      true,
	}}
}
