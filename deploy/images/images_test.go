package images

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/deploy/awsproxy"
	"twokey/deploy/awssim"
	"twokey/deploy/deploytest"
	"twokey/deploy/templates"
	"twokey/deploy/templates/templatestest"
	"twokey/ops"
	"twokey/ops/opstest"
)

// world is a simulated account behind a proxy.
type world struct {
	*awssim.Sim
	proxy *awsproxy.Proxy
	sites map[string]Site
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Sim: awssim.New(awssim.Options{Now: time.Now, Stacks: []awssim.Stack{}})}
	w.proxy = awsproxy.Over(w.Sim)
	w.sites = map[string]Site{"staging": {Account: deploytest.Simulated(t, w.proxy)}}
	return w
}

// The steps of an operation, carried out and undone.
var (
	bench, call, explained = deploytest.Bench, deploytest.Call, opstest.Explained
	run, back              = deploytest.Run, deploytest.Back
)

const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/"

func digest(n int) string { return fmt.Sprintf("sha256:%064d", n) }

// random makes an account at random: repositories with images and their parts, and
// everything that can use an image. It returns what is used, by a model of its own:
// repository and digest.
func random(w *world, r *rand.Rand) map[string]bool {
	used := map[string]bool{}
	next := 0
	var cluster awssim.Cluster
	cluster.Services = map[string][]string{}
	for n := range 1 + r.IntN(2) {
		repo := []string{"web", "team/api"}[n]
		var reg awssim.Registry
		for i := range r.IntN(12) {
			next++
			img := awssim.Image{Digest: digest(next), Pushed: time.Now().Add(-time.Duration(i) * 24 * time.Hour)}
			if r.IntN(3) > 0 {
				img.Tags = append(img.Tags, fmt.Sprintf("v%d", next))
			}
			if r.IntN(4) == 0 && i > 2 {
				for range 1 + r.IntN(2) {
					k := r.IntN(len(reg.Images))
					if len(reg.Images[k].Parts) == 0 && !slices.Contains(img.Parts, reg.Images[k].Digest) {
						img.Parts = append(img.Parts, reg.Images[k].Digest)
					}
				}
			}
			reg.Images = append(reg.Images, img)
		}
		if len(reg.Images) > 0 && r.IntN(2) == 0 {
			reg.Images[r.IntN(len(reg.Images))].Tags = []string{"latest"}
		}
		w.SetRegistry(repo, reg)
		for range r.IntN(5) {
			if len(reg.Images) == 0 {
				break
			}
			use(w, r, &cluster, repo, reg.Images[r.IntN(len(reg.Images))], used)
		}
	}
	w.SetCluster("main", cluster)
	return used
}

// use makes something use an image.
func use(w *world, r *rand.Rand, cluster *awssim.Cluster, repo string, img awssim.Image, used map[string]bool) {
	ref := host + repo + "@" + img.Digest
	if len(img.Tags) > 0 && r.IntN(2) == 0 {
		ref = host + repo + ":" + img.Tags[0]
		if img.Tags[0] == "latest" && r.IntN(2) == 0 {
			ref = host + repo
		}
	}
	used[repo+"@"+img.Digest] = true
	name := fmt.Sprintf("f%d:%d", r.IntN(1000), 1+r.IntN(9))
	switch r.IntN(6) {
	case 0:
		w.SetTaskDefinition(name, awssim.TaskDefinition{Images: []string{"redis:7", ref}})
	case 1: // inactive, but a service still runs it
		cluster.Services[fmt.Sprintf("s%d", r.IntN(1000))] = []string{w.SetTaskDefinition(name, awssim.TaskDefinition{Images: []string{ref}, Inactive: true})}
	case 2: // the old deployment of a service
		idle := w.SetTaskDefinition(name+"0", awssim.TaskDefinition{Images: []string{"redis:7"}, Inactive: true})
		cluster.Services[fmt.Sprintf("s%d", r.IntN(1000))] = []string{idle, w.SetTaskDefinition(name, awssim.TaskDefinition{Images: []string{ref}, Inactive: true})}
	case 3: // a task that was started by a tag which has moved since
		cluster.Tasks = append(cluster.Tasks, awssim.Task{Definition: w.SetTaskDefinition(name, awssim.TaskDefinition{Images: []string{host + repo + ":gone"}, Inactive: true}), Image: host + repo + ":gone", Digest: img.Digest})
	case 4:
		w.AddStack(fmt.Sprintf("stack%d", r.IntN(100000)), "Image", ref)
	default:
		value := img.Digest
		if len(img.Tags) > 0 {
			value = img.Tags[0]
		}
		w.AddStack(fmt.Sprintf("stack%d", r.IntN(100000)), "ImageTag", value)
	}
}

// TestCleanupNeverDeletesWhatIsUsed cleans up a thousand random accounts. In some of them
// something begins to use an image between the approval and the run.
func TestCleanupNeverDeletesWhatIsUsed(t *testing.T) {
	deleted, kept, late := 0, 0, 0
	for seed := range 1000 {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 5))
			w := newWorld(t)
			used := random(w, r)
			op := cleanup{w.sites}
			keep := 1 + r.IntN(3)
			args := "web"
			if w.Images("team/api") != nil {
				args = "web team/api"
			}
			before := map[string][]awssim.Image{"web": w.Images("web"), "team/api": w.Images("team/api")}
			plan, err := op.Plan(t.Context(), call(op, args, fmt.Sprintf("keep=%d", keep)))
			if err != nil {
				if !strings.HasPrefix(err.Error(), "nothing to delete") {
					t.Fatal(explained(err))
				}
				return
			}
			if r.IntN(3) == 0 { // somebody deploys meanwhile
				repo := []string{"web", "team/api"}[r.IntN(2)]
				if images := before[repo]; len(images) > 0 {
					var cluster awssim.Cluster
					cluster.Services = map[string][]string{}
					use(w, r, &cluster, repo, images[r.IntN(len(images))], used)
					w.SetCluster("second", cluster)
					late++
				}
			}
			b := opstest.NewBench(plan)
			if r.IntN(4) == 0 {
				w.proxy.Add(awsproxy.Rule{Action: "BatchDeleteImage", Drop: true})
			}
			if p := run(t, op, b, nil); p.Phase != ops.Done {
				t.Fatalf("seed %d: %+v", seed, p)
			}
			for repo, images := range before {
				now := map[string]bool{}
				for _, i := range w.Images(repo) {
					now[i.Digest] = true
				}
				for _, i := range images {
					if used[repo+"@"+i.Digest] && !now[i.Digest] {
						t.Errorf("seed %d: %s@%s is used and was deleted", seed, repo, i.Digest)
					}
					for _, part := range i.Parts {
						if now[i.Digest] && !now[part] {
							t.Errorf("seed %d: %s lost its part %s", seed, i.Digest, part)
						}
					}
					if now[i.Digest] {
						kept++
					} else {
						deleted++
					}
				}
				if len(images) >= keep && len(now) < min(keep, len(images)) {
					t.Errorf("seed %d: %d images of %s left, want at least %d", seed, len(now), repo, keep)
				}
			}
			// What was listed and is still there is left with a reason.
			for _, c := range b.Journal() {
				repo, d, _ := strings.Cut(c.Key, "@")
				there := slices.ContainsFunc(w.Images(repo), func(i awssim.Image) bool { return i.Digest == d })
				if there != (c.State == ops.Left && c.Reason != "") || !there && c.State != ops.Kept {
					t.Errorf("seed %d: there %v: %+v", seed, there, c)
				}
			}
		})
	}
	t.Logf("figure: 1,000 random accounts: %d images deleted, %d kept, none of them used; in %d something began to use one after the approval", deleted, kept, late)
	if deleted < 500 || late < 50 {
		t.Errorf("only %d deleted, %d late", deleted, late)
	}
}

// TestCleanupReadsAll: what cannot be read counts as used.
func TestCleanupReadsAll(t *testing.T) {
	for _, action := range []string{"ListTaskDefinitions", "DescribeTaskDefinition", "ListServices", "DescribeServices", "ListTasks", "DescribeTasks", "DescribeStacks"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.SetRegistry("web", awssim.Registry{Images: []awssim.Image{{Digest: digest(1), Pushed: time.Now()}, {Digest: digest(2)}, {Digest: digest(3)}}})
			d := w.SetTaskDefinition("web:1", awssim.TaskDefinition{Images: []string{host + "web@" + digest(3)}})
			w.SetCluster("main", awssim.Cluster{Services: map[string][]string{"web": {d}}, Tasks: []awssim.Task{{Definition: d}}})
			w.AddStack("web", "Tag", "x")
			op := cleanup{w.sites}
			b := bench(t, op, "web", "keep=1")
			w.proxy.Add(awsproxy.Rule{Action: action, Times: -1, Code: "AccessDeniedException", Message: "User: u is not authorized to perform: ecs:" + action + " on resource: r"})
			if _, err := op.Plan(t.Context(), b.Run().Plan.Call); !strings.Contains(explained(err), "AWS does not let u do ecs:"+action+" in staging (eu-west-1) on r") {
				t.Errorf("%s: %s", action, explained(err))
			}
			step, err := op.Step(b.Run().Plan.Steps[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Start(t.Context(), 0, step); err == nil {
				t.Errorf("%s: no error", action)
			}
			if n := len(w.Images("web")); n != 3 {
				t.Errorf("%s: %d images left", action, n)
			}
		})
	}
}

func three() awssim.Registry {
	return awssim.Registry{Images: []awssim.Image{
		{Digest: digest(1), Tags: []string{"v1", "live"}, Pushed: time.Now().Add(-48 * time.Hour)},
		{Digest: digest(2), Tags: []string{"v2"}, Pushed: time.Now().Add(-24 * time.Hour)},
		{Digest: digest(3), Tags: []string{"v3"}, Pushed: time.Now()},
	}}
}

func tagged(w *world, tag string) string {
	for _, i := range w.Images("web") {
		if slices.Contains(i.Tags, tag) {
			return i.Digest
		}
	}
	return ""
}

func TestPromote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetRegistry("web", three())
		op := promote{w.sites}
		for _, tt := range []struct{ flags, want string }{
			{"from=v9 tag=live", "web has no image v9 | Its newest tags: v3, v2, live, v1."},
			{"from=v1 tag=live", "web:live is 000000000000 already | There is nothing to do."},
			{"tag=live", "Which image gets which tag? | Give --from TAG or DIGEST, and --tag TAG."},
		} {
			if _, err := op.Plan(t.Context(), call(op, "web", tt.flags)); explained(err) != tt.want {
				t.Errorf("%s: %s\nwant %s", tt.flags, explained(err), tt.want)
			}
		}
		if _, err := op.Plan(t.Context(), call(op, "wep", "from=v1 tag=live")); explained(err) != "there is no image repository wep in staging (eu-west-1) | Did you mean web?" {
			t.Error(explained(err))
		}
		b := bench(t, op, "web", "from=v3 tag=live")
		if p := run(t, op, b, nil); p.Phase != ops.Done || tagged(w, "live") != digest(3) {
			t.Errorf("%+v, live is %s", p, tagged(w, "live"))
		}
		if e := back(t, op, b)[tagKey]; e.State != ops.Restored || tagged(w, "live") != digest(1) {
			t.Errorf("%+v, live is %s", e, tagged(w, "live"))
		}
		// A new tag is taken away again; the image stays.
		b = bench(t, op, "web", "from=v2 tag=next")
		run(t, op, b, nil)
		if e := back(t, op, b)[tagKey]; e.State != ops.Restored || tagged(w, "next") != "" || len(w.Images("web")) != 3 {
			t.Errorf("%+v, %v", e, w.Images("web"))
		}
		// One that somebody moved on is left.
		b = bench(t, op, "web", "from=v2 tag=live")
		run(t, op, b, nil)
		other := bench(t, op, "web", "from=v3 tag=live")
		run(t, op, other, nil)
		if e := back(t, op, b)[tagKey]; e.State != ops.Left || tagged(w, "live") != digest(3) {
			t.Errorf("%+v, live is %s", e, tagged(w, "live"))
		}
		w.SetRegistry("web", awssim.Registry{Images: three().Images, Immutable: true})
		if _, err := op.Plan(t.Context(), call(op, "web", "from=v3 tag=live")); !strings.HasPrefix(explained(err), "the tags of web cannot be moved") {
			t.Error(explained(err))
		}
	})
}

// built is a world with a git repository and a project per image.
func built(t *testing.T, dir string) *world {
	w := newWorld(t)
	s := w.sites["staging"]
	s.Sources = templates.Sources{Repositories: map[string]templates.Repository{"waffle": {URL: dir}}}
	s.Builds = map[string]Build{
		"ws-node": {Project: "node", Repository: "waffle", Dockerfile: "Dockerfile"}, "ws-haproxy": {Project: "haproxy", Repository: "waffle"}, "ws-broken": {Project: "broken", Repository: "waffle"},
	}
	w.SetProject("node", [3]string{"MONGODB_URL", "SECRETS_MANAGER", "waffle/db:url"}, [3]string{"REGION", "PLAINTEXT", "eu-west-1"})
	w.SetProject("haproxy", [3]string{"STATS_KEY", "PARAMETER_STORE", "/waffle/stats"})
	w.SetProject("broken")
	w.SetValue("secret:waffle/db", "x")
	w.SetValue("ssm:/waffle/stats", "x")
	w.sites["staging"] = s
	w.SetRegistry("ws-node", awssim.Registry{})
	return w
}

// TestBuild builds both images of Waffle from one commit; built again, there is nothing to
// do.
func TestBuild(t *testing.T) {
	dir := templatestest.Repository(t, map[string]string{"Dockerfile": "FROM node\n"})
	synctest.Test(t, func(t *testing.T) {
		w := built(t, dir)
		op := buildImages{w.sites}
		b := bench(t, op, "ws-node ws-haproxy", "ref=master")
		if n := len(b.Run().Plan.Steps); n != 3 {
			t.Fatalf("%d steps", n)
		}
		if p := run(t, op, b, nil); p.Phase != ops.Done || w.Builds() != 2 || len(w.Images("ws-node")) != 1 || len(w.Images("ws-haproxy")) != 1 {
			t.Errorf("%+v, %d builds", p, w.Builds())
		}
		if _, err := op.Plan(t.Context(), b.Run().Plan.Call); !strings.HasPrefix(explained(err), "built already: ws-haproxy:") {
			t.Error(explained(err))
		}
		b = bench(t, op, "ws-broken", "ref=master")
		if p := run(t, op, b, nil); p.Phase != ops.Failed || p.Reason != "the build of ws-broken failed in build: COMMAND_EXECUTION_ERROR docker build: exit status 1" {
			t.Errorf("%+v", p)
		}
		if _, err := op.Plan(t.Context(), call(op, "ws-other", "ref=master")); explained(err) != "the configuration does not say how to build ws-other | It knows ws-broken, ws-haproxy, ws-node (aws: builds)." {
			t.Error(explained(err))
		}
	})
}

// TestBuildRefuses: what would fail the build is found before anybody is asked.
func TestBuildRefuses(t *testing.T) {
	dir := templatestest.Repository(t, map[string]string{"Dockerfile": "FROM node\n"})
	synctest.Test(t, func(t *testing.T) {
		w := built(t, dir)
		op := buildImages{w.sites}
		refused := func(repo, want string) {
			t.Helper()
			if _, err := op.Plan(t.Context(), call(op, repo, "ref=master")); !strings.HasSuffix(explained(err), want) {
				t.Errorf("%s\nwant %s", explained(err), want)
			}
		}
		plan, err := op.Plan(t.Context(), call(op, "ws-node", "ref=master"))
		if err != nil || !strings.Contains(fmt.Sprint(plan.Shown), "by CodeBuild project node, which reads MONGODB_URL by reference, all there") {
			t.Errorf("%+v, %v", plan.Shown, err)
		}
		s := w.sites["staging"]
		s.Builds["ws-none"] = Build{Project: "none", Repository: "waffle"}
		refused("ws-none", "there is no CodeBuild project none in staging (eu-west-1) | Correct it in the configuration (aws: builds).")
		s.Builds["ws-other"] = Build{Project: "node", Repository: "waffle", Dockerfile: "haproxy/Dockerfile.lb"}
		refused("ws-other", "haproxy in waffle@"+plan.Steps[0].Params[paramCommit][:12]+" | Check the name.")
		s.Builds["ws-other"] = Build{Project: "node", Repository: "waffle", Dockerfile: "Dockerfile.lb"}
		refused("ws-other", " has no Dockerfile.lb | Check the commit, or the configuration (aws: builds).")
		w.SetProject("node", [3]string{"MONGODB_URL", "SECRETS_MANAGER", "waffle/gone"})
		refused("ws-node", "the project node reads MONGODB_URL from waffle/gone, which does not exist | Create it, or correct the project.")
		w.SetProject("node", [3]string{"KEY", "PARAMETER_STORE", "/waffle/gone"})
		refused("ws-node", "the project node reads KEY from /waffle/gone, which does not exist | Create it, or correct the project.")
	})
}

// TestImagesCrash: a build, a promotion and a cleanup crash at each write, and lose the
// reply of each call that writes; nothing is done twice.
func TestImagesCrash(t *testing.T) {
	dir := templatestest.Repository(t, map[string]string{"Dockerfile": "FROM node\n"})
	for _, way := range []struct {
		name, args, flags string
		op                func(*world) ops.Operation
		good              func(*world) bool
		writes            []string
	}{
		{"build", "ws-node", "ref=master", func(w *world) ops.Operation { return buildImages{w.sites} },
			func(w *world) bool { return w.Builds() == 1 && len(w.Images("ws-node")) == 1 }, []string{"StartBuild"}},
		{"promote", "web", "from=v3 tag=live", func(w *world) ops.Operation { return promote{w.sites} },
			func(w *world) bool { return tagged(w, "live") == digest(3) }, []string{"PutImage"}},
		{"cleanup", "web", "keep=1", func(w *world) ops.Operation { return cleanup{w.sites} },
			func(w *world) bool { return len(w.Images("web")) == 1 }, []string{"BatchDeleteImage"}},
	} {
		try := func(at int, lost, cancel bool, rule *awsproxy.Rule) (crashed bool) {
			synctest.Test(t, func(t *testing.T) {
				w := built(t, dir)
				w.SetRegistry("web", three())
				op := way.op(w)
				b := bench(t, op, way.args, way.flags)
				if rule != nil {
					w.proxy.Add(*rule)
				} else {
					b.Crash(at, lost)
				}
				p := run(t, op, b, func(ops.Progress) bool { return b.Crashed() })
				crashed = b.Crashed()
				b.Restart()
				if cancel {
					for key, e := range back(t, op, b) {
						if e.State != ops.Restored && e.State != ops.Left {
							t.Errorf("%s at %d, lost %v, cancelled: %s %+v", way.name, at, lost, key, e)
						}
					}
					return
				}
				if p.Phase != ops.Done || crashed {
					p = run(t, op, b, nil)
				}
				if p.Phase != ops.Done || !way.good(w) {
					t.Errorf("%s at %d, lost %v, rule %+v: %+v", way.name, at, lost, rule, p)
				}
			})
			return crashed
		}
		writes := opstest.EveryCrash(func(at int, lost, cancel bool) bool { return try(at, lost, cancel, nil) })
		for _, action := range way.writes {
			try(0, false, false, &awsproxy.Rule{Action: action, Drop: true})
			try(0, false, false, &awsproxy.Rule{Action: action, Lose: true})
		}
		try(0, false, false, &awsproxy.Rule{Every: 4, Times: -1, Code: "ThrottlingException", Message: "Rate exceeded"})
		if writes < 2 {
			t.Errorf("%s: %d writes only", way.name, writes)
		}
		t.Logf("figure: image %s crashed before and after each of %d writes; replies lost; throttled one time in four", way.name, writes)
	}
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := three()
		r.Images = append(r.Images, awssim.Image{Digest: digest(4), Parts: []string{digest(1), digest(2)}})
		w.SetRegistry("web", r)
		d := w.SetTaskDefinition("web:7", awssim.TaskDefinition{Images: []string{host + "web:v2"}})
		w.SetCluster("main", awssim.Cluster{Services: map[string][]string{"web": {d}}, Tasks: []awssim.Task{{Definition: d}}})
		a, err := listImages{w.sites}.Answer(t.Context(), ops.Call{Kind: "image list", Environment: "staging", Args: []string{"web"}})
		if err != nil {
			t.Fatal(err)
		}
		if a.Title != "web in staging (eu-west-1): 4 images" || len(a.Table.Rows) != 4 || a.Table.Rows[1][4] != "task definition web:7" {
			t.Errorf("%+v %+v", a, a.Table)
		}
	})
}
