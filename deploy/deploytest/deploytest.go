// Package deploytest makes accounts for tests of operations on AWS, and checks that what
// they call is what deploy lists.
package deploytest

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"twokey/deploy"
	"twokey/deploy/awsproxy"
	"twokey/deploy/awssim"
)

// Number is the account all simulations and emulators are of, unless a test names
// another.
const Number = "123456789012"

// Simulated returns the account "staging" in eu-west-1 whose calls go to a handler in this
// process: fake time passes. The handler is an *awssim.Sim, perhaps behind an
// *awsproxy.Proxy.
func Simulated(t testing.TB, h http.Handler, edit ...func(*deploy.Settings)) *deploy.Account {
	return connect(t, append([]func(*deploy.Settings){func(s *deploy.Settings) {
		s.Endpoint, s.HTTP = "http://aws.simulated", awssim.Client{Handler: h}
	}}, edit...)...)
}

func connect(t testing.TB, edit ...func(*deploy.Settings)) *deploy.Account {
	t.Helper()
	s := deploy.Settings{
		Environment: "staging", Region: "eu-west-1", ID: Number,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), Observe: observe,
	}
	for _, f := range edit {
		f(&s)
	}
	a, err := deploy.Connect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// onMoto are the services that moto serves better, as signatures name them.
var onMoto = []string{"ec2", "autoscaling", "ssm", "elasticmapreduce", "elasticloadbalancing"}

// Emulated returns an account in a region, whose calls go through a proxy of the test's
// own to the emulators: MiniStack, but for EC2, Auto Scaling, SSM, EMR and load balancers
// moto. It skips the test where they do not run. Tests that use regions of their own are
// apart, but in S3, Route 53 and IAM, which have none.
//
// Route sends services elsewhere: {"ssm": deploytest.MiniStack()}.
func Emulated(t testing.TB, region string, route map[string]string, edit ...func(*deploy.Settings)) (*deploy.Account, *awsproxy.Proxy) {
	t.Helper()
	if MiniStack() == "" || Moto() == "" {
		t.Skip("TWOKEY_TEST_AWS and TWOKEY_TEST_MOTO are not set (go run ./test/with -aws -- …)")
	}
	urls := map[string]string{"": MiniStack()}
	for _, service := range onMoto {
		urls[service] = Moto()
	}
	maps.Copy(urls, route)
	p, err := awsproxy.New(urls)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return connect(t, append([]func(*deploy.Settings){func(s *deploy.Settings) {
		s.Region, s.Endpoint = region, server.URL
	}}, edit...)...), p
}

// Direct is a configuration for the test's own hands in an emulator, past proxy and guard.
func Direct(t testing.TB, region, url string) aws.Config {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(region), config.WithBaseEndpoint(url),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTPClient = deploy.ReadWhole(cfg.HTTPClient)
	return cfg
}

// MiniStack and Moto are the emulators' URLs; empty: they do not run.
func MiniStack() string { return os.Getenv("TWOKEY_TEST_AWS") }

// Moto is the other emulator's URL.
func Moto() string { return os.Getenv("TWOKEY_TEST_MOTO") }

var (
	mu       sync.Mutex
	observed = map[string]map[string]int{} // kind, action
)

func observe(kind, action string) {
	mu.Lock()
	defer mu.Unlock()
	if observed[kind] == nil {
		observed[kind] = map[string]int{}
	}
	observed[kind][action]++
}

// Main runs a package's tests; call it from TestMain. Where they all ran, on the emulators
// too, it then checks that each permission deploy lists for the kinds was used by some
// call: a policy must not be wider than the work. That it is not narrower is checked at
// each call.
func Main(m *testing.M, kinds ...string) {
	code := m.Run()
	if run := flag.Lookup("test.run").Value.String(); code == 0 && MiniStack() != "" && (run == "" || run == ".") {
		for _, line := range unused(kinds) {
			fmt.Println("FAIL: " + line)
			code = 1
		}
	}
	os.Exit(code)
}

func unused(kinds []string) []string {
	mu.Lock()
	defer mu.Unlock()
	var lines []string
	for _, kind := range kinds {
		list := deploy.Permissions(kind)
		if len(list) == 0 {
			lines = append(lines, fmt.Sprintf("%s: no permissions are listed", kind))
		}
		var idle []string
		for _, p := range list {
			if !p.Indirect && observed[kind][p.Action] == 0 {
				idle = append(idle, p.Action)
			}
		}
		if len(idle) > 0 {
			lines = append(lines, fmt.Sprintf("%s: listed, but no test called %s", kind, strings.Join(slices.Compact(slices.Sorted(slices.Values(idle))), ", ")))
		}
	}
	return lines
}
