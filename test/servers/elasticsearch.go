package servers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ESCluster is a real Elasticsearch cluster on loopback. Node i (from 0) is called n<i+1>
// and bound to 127.0.0.(20+i), so that filters by address can tell nodes apart.
type ESCluster struct {
	Dir   string   `json:"dir"`
	Dist  string   `json:"dist"`
	Java  string   `json:"java"`
	Port  int      `json:"port"` // HTTP of node 0; transport is 100 higher
	Zones []string `json:"zones"`
	as    []string
}

// StartElasticsearch fetches the server on first use and starts one node per zone
// given, under dir. It returns when all have joined and the cluster is green.
func StartElasticsearch(dir string, port int, zones ...string) (*ESCluster, error) {
	dist, err := distribution()
	if err != nil {
		return nil, err
	}
	java, err := javaHome()
	if err != nil {
		return nil, err
	}
	c := &ESCluster{Dir: dir, Dist: dist, Java: java, Port: port, Zones: zones}
	if c.as, err = asUser(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "cluster.json"), b, 0o644); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(zones))
	for i := range zones {
		wg.Go(func() { errs[i] = c.launch(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		_ = c.Stop()
		return nil, err
	}
	if err := c.AwaitNodes(len(zones)); err != nil {
		_ = c.Stop()
		return nil, err
	}
	return c, os.WriteFile(filepath.Join(dir, "bootstrapped"), nil, 0o644)
}

// OpenElasticsearch finds the cluster that another process started in dir.
func OpenElasticsearch(dir string) (*ESCluster, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cluster.json"))
	if err != nil {
		return nil, err
	}
	c := new(ESCluster)
	if err := json.Unmarshal(b, c); err != nil {
		return nil, err
	}
	c.as, err = asUser()
	return c, err
}

// URLs lists the nodes' addresses, n1 first.
func (c *ESCluster) URLs() []string {
	var urls []string
	for i := range c.Zones {
		urls = append(urls, fmt.Sprintf("http://%s:%d", host(i), c.Port+i))
	}
	return urls
}

// Kill ends node i by SIGKILL.
func (c *ESCluster) Kill(i int) error { return c.end(i, syscall.SIGKILL) }

// Start starts node i again and waits until all running nodes form one cluster.
func (c *ESCluster) Start(i int) error {
	if _, ok := c.pid(i); ok {
		return nil
	}
	if err := c.launch(i); err != nil {
		return err
	}
	up := 0
	for j := range c.Zones {
		if _, ok := c.pid(j); ok {
			up++
		}
	}
	return c.AwaitNodes(up)
}

// Stop ends all nodes.
func (c *ESCluster) Stop() error {
	var errs []error
	for i := range c.Zones {
		errs = append(errs, c.end(i, syscall.SIGKILL))
	}
	return errors.Join(errs...)
}

// AwaitNodes waits until the cluster has n nodes and is not red.
func (c *ESCluster) AwaitNodes(n int) error {
	return Await(3*time.Minute, func() error {
		var last error
		for _, u := range c.URLs() {
			if last = healthy(u, n); last == nil {
				return nil
			}
		}
		return last
	})
}

func healthy(url string, n int) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	res, err := client.Get(fmt.Sprintf("%s/_cluster/health?wait_for_nodes=%d&wait_for_status=yellow&timeout=2s", url, n))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s %.200s (%v)", res.Status, b, err)
	}
	return nil
}

func (c *ESCluster) end(i int, s syscall.Signal) error {
	pid, ok := c.pid(i)
	if !ok {
		return nil
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	err := Await(30*time.Second, func() error {
		if _, ok := c.pid(i); ok {
			return fmt.Errorf("n%d (pid %d) still runs", i+1, pid)
		}
		return nil
	})
	_ = os.Remove(fmt.Sprintf("/tmp/.java_pid%d", pid)) // a killed JVM leaves its socket
	return err
}

// pid returns the process of node i; a stale file or a reused number is none.
func (c *ESCluster) pid(i int) (int, bool) {
	b, err := os.ReadFile(filepath.Join(c.node(i), "pid"))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(cmdline), "-Djava.io.tmpdir="+c.node(i)+"/tmp\x00") {
		return 0, false
	}
	return pid, true
}

func (c *ESCluster) node(i int) string { return filepath.Join(c.Dir, fmt.Sprintf("n%d", i+1)) }

func host(i int) string { return fmt.Sprintf("127.0.0.%d", 20+i) }

// launch runs the stock launcher, which returns once the server is up.
func (c *ESCluster) launch(i int) error {
	d := c.node(i)
	if err := c.configure(i); err != nil {
		return err
	}
	args := append([]string{}, c.as...)
	args = append(args, filepath.Join(c.Java, "bin", "java"), "-Xms4m", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Djava.io.tmpdir="+d+"/tmp", "-Dcli.name=server", "-Dcli.script="+c.Dist+"/bin/elasticsearch", "-Dcli.libs=lib/tools/server-cli",
		"-Des.path.home="+c.Dist, "-Des.path.conf="+d+"/config", "-Des.distribution.type=zip", "-Des.java.type=ES_JAVA_HOME",
		"-cp", c.Dist+"/lib/*:"+c.Dist+"/lib/cli-launcher/*", "org.elasticsearch.launcher.CliToolLauncher", "-d", "-p", d+"/pid")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = c.Dist
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for the test, not for the server
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); name != "JAVA_TOOL_OPTIONS" && name != "_JAVA_OPTIONS" && name != "ES_JAVA_OPTS" {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "ES_JAVA_HOME="+c.Java, "ES_PATH_CONF="+d+"/config", "ES_TMPDIR="+d+"/tmp")
	out, err := os.Create(filepath.Join(d, "launch.log"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		b, _ := os.ReadFile(out.Name())
		return fmt.Errorf("n%d did not start: %w: %.600s (log: %s)", i+1, err, b, filepath.Join(d, "logs"))
	}
	return nil
}

// asUser returns the words to run a command by as somebody else than root, whom
// Elasticsearch refuses: a user namespace in which root has another number.
func asUser() ([]string, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	as := []string{"unshare", "--user", "--map-user=1000", "--map-group=1000"}
	if err := exec.Command(as[0], append(as[1:], "true")...).Run(); err != nil {
		return nil, fmt.Errorf("elasticsearch refuses root, and this machine has no user namespaces (%w): run the tests as another user", err)
	}
	return as, nil
}

// javaHome finds a Java 17 or later.
func javaHome() (string, error) {
	if err := need("java", "openjdk-17-jre-headless"); err != nil {
		return "", err
	}
	out, err := exec.Command("java", "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("java: %w", err)
	}
	props := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(line, " = "); ok {
			props[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	if major, err := strconv.Atoi(props["java.specification.version"]); err != nil || major < 17 {
		return "", fmt.Errorf("java is version %q, 17 or later is needed", props["java.specification.version"])
	}
	return props["java.home"], nil
}
