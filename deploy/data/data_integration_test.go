//go:build integration

package data

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"twokey/deploy"
	"twokey/deploy/awsproxy"
	"twokey/deploy/deploytest"
	"twokey/deploy/templates"
	"twokey/deploy/templates/templatestest"
	"twokey/ops"
)

func TestMain(m *testing.M) {
	deploytest.Main(m, "s3 create", "site sync", "sqs create", "sqs watch", "emr create", "emr step", "emr status", "emr terminate")
}

// TestEmulatedSite makes a bucket, syncs a site of 300 files into it while replies are
// lost, changes and removes some of it, and takes a bucket back.
func TestEmulatedSite(t *testing.T) {
	const region = "ap-southeast-1"
	account, proxy := deploytest.Emulated(t, region, nil)
	files := map[string]string{}
	for i := range 300 {
		files[fmt.Sprintf("dist/assets/a%03d.js", i)] = fmt.Sprintf("console.log(%d)", i)
	}
	files["dist/index.html"] = "<h1>one</h1>"
	dir := templatestest.Repository(t, files)
	sites := map[string]Site{"staging": {Account: account, Sources: templates.Sources{Repositories: map[string]templates.Repository{"frontend": {URL: dir}}}}}
	bucket := fmt.Sprintf("twokey-site-%d", time.Now().UnixNano())

	create := createBucket{sites}
	b := bench(t, create, bucket, "versioning=true")
	proxy.Add(awsproxy.Rule{Service: "s3", Action: "PUT /" + bucket, Drop: true})
	if p := run(t, create, b, nil); p.Phase != ops.Done {
		t.Fatalf("%+v", p)
	}
	proxy.Reset()
	// Its reply was lost: the bucket may be somebody else's, and stays.
	if e := back(t, create, b)[bucketKey]; e.State != ops.Left || !strings.Contains(e.Reason, "not known") {
		t.Errorf("%+v", e)
	}
	direct := storage(deploytest.Direct(t, region, deploytest.MiniStack()))
	if _, err := direct.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	b = bench(t, create, bucket, "")
	run(t, create, b, nil)
	if e := back(t, create, b)[bucketKey]; e.State != ops.Restored {
		t.Errorf("%+v", e)
	}
	b = bench(t, create, bucket, "")
	run(t, create, b, nil)
	if _, err := create.Plan(t.Context(), call(create, bucket, "")); !strings.Contains(explained(err), "exists already") {
		t.Error(explained(err))
	}

	proxy.Add(awsproxy.Rule{Service: "s3", Action: "PUT /" + bucket + "/assets/a1", Every: 20, Times: 5, Drop: true})
	proxy.Add(awsproxy.Rule{Service: "s3", Every: 40, Times: -1, Code: "SlowDown", Message: "Please reduce your request rate.", Status: 503})
	distribution := func(origin, at string) string {
		return "<Distribution><Id>E1</Id><DomainName>d1.cloudfront.net</DomainName><DistributionConfig><Origins><Quantity>1</Quantity><Items><Origin><Id>o</Id><DomainName>" +
			origin + "</DomainName><OriginPath>" + at + "</OriginPath></Origin></Items></Origins></DistributionConfig></Distribution>"
	}
	proxy.Add(awsproxy.Rule{Service: "cloudfront", Action: "GET /2020-05-31/distribution/E1", Times: 3, Bodies: []string{
		distribution("other.s3.amazonaws.com", ""), distribution(bucket+".s3.ap-southeast-1.amazonaws.com", ""),
	}})
	if _, err := (syncSite{sites}).Plan(t.Context(), call(syncSite{sites}, "frontend:dist "+bucket, "ref=master distribution=E1")); !strings.Contains(explained(err), "distribution E1 does not serve "+bucket) {
		t.Error(explained(err))
	}
	proxy.Add(awsproxy.Rule{Service: "cloudfront", Action: "POST /", Times: 1, Drop: true})
	proxy.Add(awsproxy.Rule{Service: "cloudfront", Action: "POST /", Times: -1, Bodies: []string{"<Invalidation><Id>I1</Id><Status>InProgress</Status><CreateTime>2026-11-20T00:00:00Z</CreateTime></Invalidation>"}})
	proxy.Add(awsproxy.Rule{Service: "cloudfront", Action: "GET /", Times: -1, Bodies: []string{
		"<Invalidation><Id>I1</Id><Status>InProgress</Status><CreateTime>2026-11-20T00:00:00Z</CreateTime></Invalidation>", "<Invalidation><Id>I1</Id><Status>Completed</Status><CreateTime>2026-11-20T00:00:00Z</CreateTime></Invalidation>",
	}})
	op := syncSite{sites}
	began := time.Now()
	b = bench(t, op, "frontend:dist "+bucket, "ref=master distribution=E1")
	if p := run(t, op, b, nil); p.Phase != ops.Done {
		t.Fatalf("%+v", p)
	}
	t.Logf("figure: a site of 301 files synced with lost replies and SlowDown: %.1f s, %d calls", time.Since(began).Seconds(), len(proxy.Calls("")))
	proxy.Reset()
	if _, err := op.Plan(t.Context(), call(op, "frontend:dist "+bucket, "ref=master")); !strings.Contains(explained(err), "already: 301 files") {
		t.Error(explained(err))
	}
	page, err := direct.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("index.html")})
	if err != nil || aws.ToString(page.ContentType) != "text/html; charset=utf-8" || aws.ToString(page.CacheControl) != "no-cache" {
		t.Errorf("%+v, %v", page, err)
	}
	put := func(key, body string) {
		t.Helper()
		if _, err := direct.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	put("old.html", "old")
	put("notes.html", "old")
	templatestest.Commit(t, dir, map[string]string{"dist/index.html": "<h1>two</h1>"})
	b = bench(t, op, "frontend:dist "+bucket, "ref=master delete=true")
	plan := b.Run().Plan
	if plan.Class != ops.R3 || plan.Confirm != bucket || plan.Effect != "uploads 1 file (0.0 MB, 1 of them in place of other objects), deletes 2, leaves 300 as they are" {
		t.Errorf("%s, %q: %s", plan.Class, plan.Confirm, plan.Effect)
	}
	// What comes or changes after the approval is not deleted, and is another plan.
	put("new.html", "new")
	put("notes.html", "edited")
	if again, err := op.Plan(t.Context(), plan.Call); err != nil || again.Digest() == plan.Digest() {
		t.Errorf("the digest is as it was; %v", err)
	}
	if p := run(t, op, b, nil); p.Phase != ops.Done || !strings.HasPrefix(p.Status.Headline, "all 301 files of ") || !strings.Contains(p.Status.Headline, "wrote to it after the approval: notes.html") {
		t.Errorf("%+v", p)
	}
	list, err := direct.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, o := range list.Contents {
		there[*o.Key] = true
	}
	if len(there) != 303 || !there["new.html"] || !there["notes.html"] {
		t.Errorf("%d objects, new %v, notes %v", len(there), there["new.html"], there["notes.html"])
	}
	// In a bucket that keeps versions a deletion can be taken back.
	if _, err := direct.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	if plan, err := op.Plan(t.Context(), plan.Call); err != nil || plan.Class != ops.R2 || plan.Confirm != "" {
		t.Errorf("%s, %v", plan.Class, err)
	}
}

// TestEncryptedSite syncs into a bucket whose ETags are no MD5, as with keys of KMS.
func TestEncryptedSite(t *testing.T) {
	const region = "ap-southeast-1"
	account, _ := deploytest.Emulated(t, region, nil, func(s *deploy.Settings) { s.HTTP = otherETags{} })
	dir := templatestest.Repository(t, map[string]string{"dist/index.html": "<h1>one</h1>", "dist/a.js": "1"})
	sites := map[string]Site{"staging": {Account: account, Sources: templates.Sources{Repositories: map[string]templates.Repository{"frontend": {URL: dir}}}}}
	bucket := fmt.Sprintf("twokey-kms-%d", time.Now().UnixNano())
	run(t, createBucket{sites}, bench(t, createBucket{sites}, bucket, ""), nil)
	op := syncSite{sites}
	if p := run(t, op, bench(t, op, "frontend:dist "+bucket, "ref=master"), nil); p.Phase != ops.Done || !strings.HasPrefix(p.Status.Headline, "all 2 files") {
		t.Errorf("%+v", p)
	}
}

// otherETags is S3 with other ETags than the emulator's.
type otherETags struct{}

var md5ETag = regexp.MustCompile(`[0-9a-f]{32}("|&quot;)`)

func (otherETags) Do(r *http.Request) (*http.Response, error) {
	out, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(out.Body)
	out.Body.Close()
	if err != nil {
		return nil, err
	}
	if tag := out.Header.Get("ETag"); tag != "" {
		out.Header.Set("ETag", md5ETag.ReplaceAllString(tag, "encrypted$1"))
	}
	out.Body = io.NopCloser(bytes.NewReader(md5ETag.ReplaceAllFunc(body, func(b []byte) []byte {
		return append([]byte("encrypted"), b[32:]...)
	})))
	out.ContentLength = -1
	out.Header.Del("Content-Length")
	return out, nil
}

// TestEmulatedQueueAndCluster makes a queue in MiniStack, and a cluster in moto, whose
// steps' progress the proxy tells.
func TestEmulatedQueueAndCluster(t *testing.T) {
	const region = "ap-southeast-1"
	account, proxy := deploytest.Emulated(t, region, nil)
	sites := map[string]Site{"staging": {Account: account}}
	name := fmt.Sprintf("etl-%d", time.Now().UnixNano())
	op := createQueue{sites}
	b := bench(t, op, name, "visibility=5m retention=96h")
	proxy.Add(awsproxy.Rule{Action: "CreateQueue", Drop: true})
	if p := run(t, op, b, nil); p.Phase != ops.Done {
		t.Errorf("%+v", p)
	}
	watch := watchQueue{sites}
	n := 0
	wb := bench(t, watch, name, "")
	if p := run(t, watch, wb, func(ops.Progress) bool { n++; return n > 0 }); !strings.Contains(p.Status.Headline, "about 0 waiting") {
		t.Errorf("%+v", p)
	}
	if e := back(t, op, b)[queueKey]; e.State != ops.Restored {
		t.Errorf("%+v", e)
	}

	create := createCluster{sites}
	b = bench(t, create, name, "workers=2 logs=s3://logs/emr")
	proxy.Add(awsproxy.Rule{Action: "RunJobFlow", Drop: true})
	p := run(t, create, b, nil)
	t.Log(p.Status.Headline)
	if n := len(proxy.Calls("RunJobFlow")); p.Phase != ops.Done || n != 1 {
		t.Fatalf("%+v, started %d times", p, n)
	}
	e, _ := b.Entry(clusterKey)
	id := *e.After
	step := runStep{sites}
	sb := bench(t, step, id, "script=s3://jobs/index.py")
	proxy.Add(awsproxy.Rule{Action: "AddJobFlowSteps", Drop: true})
	proxy.Add(awsproxy.Rule{Action: "DescribeStep", Skip: 1, Times: -1, Edit: func(s string) string {
		return strings.NewReplacer("PENDING", "COMPLETED", "RUNNING", "COMPLETED").Replace(s)
	}})
	if p := run(t, step, sb, func(p ops.Progress) bool {
		return p.Phase == ops.Waiting && strings.Contains(p.Status.Headline, "step s-")
	}); p.Phase != ops.Waiting {
		t.Errorf("%+v", p)
	}
	if p := run(t, step, sb, nil); p.Phase != ops.Done {
		t.Errorf("%+v", p)
	}
	if n := len(proxy.Calls("AddJobFlowSteps")); n != 1 {
		t.Errorf("%d steps", n)
	}
	if a, err := (clusterStatus{sites}).Answer(t.Context(), ops.Call{Kind: "emr status", Environment: "staging", Args: []string{id}}); err != nil || len(a.Table.Rows) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	end := endCluster{sites}
	if p := run(t, end, bench(t, end, id, ""), nil); p.Phase != ops.Done {
		t.Errorf("%+v", p)
	}
}
