package deploy

const (
	anyRepository = "arn:aws:ecr:REGION:ACCOUNT:repository/*"
	anyProject    = "arn:aws:codebuild:REGION:ACCOUNT:project/*"
)

// usageOfImages is what finding out needs who uses an image.
var usageOfImages = []Permission{
	{Action: "ecr:DescribeRepositories", Resource: "*", Why: "the repositories, and suggestions for a mistyped name"},
	{Action: "ecr:DescribeImages", Resource: anyRepository, Why: "the images and their tags"},
	{Action: "ecr:BatchGetImage", Resource: anyRepository, Why: "which images an image of several platforms is made of"},
	{Action: "ecs:ListClusters", Resource: "*", Why: "who uses an image"},
	{Action: "ecs:ListServices", Resource: "*", Why: "who uses an image"},
	{Action: "ecs:DescribeServices", Resource: "*", Why: "who uses an image"},
	{Action: "ecs:ListTasks", Resource: "*", Why: "who uses an image"},
	{Action: "ecs:DescribeTasks", Resource: "*", Why: "who uses an image"},
	{Action: "ecs:ListTaskDefinitions", Resource: "*", Why: "who uses an image"},
	{Action: "ecs:DescribeTaskDefinition", Resource: "*", Why: "who uses an image"},
	{Action: "cloudformation:DescribeStacks", Resource: "*", Why: "parameters of stacks that name images"},
}

func withUsage(more ...Permission) []Permission {
	return append(append([]Permission{}, usageOfImages...), more...)
}

// imagePermissions is what the operations in deploy/images need.
var imagePermissions = map[string][]Permission{
	"image list": withUsage(),
	"image promote": withUsage(
		Permission{Action: "ecr:PutImage", Resource: anyRepository, Why: "the tag on its new digest"},
		Permission{Action: "ecr:BatchDeleteImage", Resource: anyRepository, Why: "an undo of a tag that was free before"},
	),
	"image cleanup": withUsage(
		Permission{Action: "ecr:BatchDeleteImage", Resource: anyRepository, Why: "the deletion"},
	),
	"image build": {
		{Action: "ecr:DescribeRepositories", Resource: "*", Why: "whether the repository exists"},
		{Action: "ecr:DescribeImages", Resource: anyRepository, Why: "whether the tag is free, and the digest that arrived"},
		{Action: "ecr:CreateRepository", Resource: "*", Why: "a repository that does not exist yet"},
		{Action: "ecr:TagResource", Resource: anyRepository, Why: "its tag made-by", Indirect: true},
		{Action: "codebuild:BatchGetProjects", Resource: anyProject, Why: "whether the project exists, and what it reads by reference"},
		{Action: "secretsmanager:DescribeSecret", Resource: "arn:aws:secretsmanager:REGION:ACCOUNT:secret:*", Why: "whether that exists; no value is read"},
		{Action: "ssm:DescribeParameters", Resource: "*", Why: "whether that exists; no value is read"},
		{Action: "codebuild:StartBuild", Resource: anyProject, Why: "the build"},
		{Action: "codebuild:BatchGetBuilds", Resource: anyProject, Why: "following it"},
		{Action: "codebuild:ListBuildsForProject", Resource: anyProject, Why: "finding it again after a crash"},
		{Action: "codebuild:StopBuild", Resource: anyProject, Why: "a cancel"},
		{Action: "logs:GetLogEvents", Resource: "arn:aws:logs:REGION:ACCOUNT:log-group:/aws/codebuild/*", Why: "the last lines of the log"},
	},
}
