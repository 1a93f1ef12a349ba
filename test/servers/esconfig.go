package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// configure writes the configuration of node i; edits by hand are lost.
func (c *ESCluster) configure(i int) error {
	d := c.node(i)
	_ = os.Remove(filepath.Join(d, "pid"))
	for _, sub := range []string{"config", "data", "logs", "tmp"} {
		if err := os.MkdirAll(filepath.Join(d, sub), 0o755); err != nil {
			return err
		}
	}
	var seeds, names []string
	for j := range c.Zones {
		seeds = append(seeds, fmt.Sprintf("%q", fmt.Sprintf("%s:%d", host(j), c.Port+100+j)))
		names = append(names, fmt.Sprintf("n%d", j+1))
	}
	yml := []string{
		fmt.Sprintf("cluster.name: twokey-test-%d", c.Port),
		fmt.Sprintf("node.name: n%d", i+1),
		"node.attr.zone: " + c.Zones[i],
		fmt.Sprintf("node.attr.rack: r%d", i+1),
		"network.host: " + host(i),
		fmt.Sprintf("http.port: %d", c.Port+i),
		fmt.Sprintf("transport.port: %d", c.Port+100+i),
		"discovery.seed_hosts: [" + strings.Join(seeds, ", ") + "]",
		"path.data: " + d + "/data",
		"path.logs: " + d + "/logs",
		"xpack.security.enabled: false",
		// The machine's disk is shared; without this its fill level would decide where
		// shards go.
		"cluster.routing.allocation.disk.threshold_enabled: false",
		// With a heap this small, garbage not yet collected would trip the breaker.
		"indices.breaker.total.use_real_memory: false",
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "bootstrapped")); err != nil {
		yml = append(yml, "cluster.initial_master_nodes: ["+strings.Join(names, ", ")+"]")
	}
	jvm := []string{
		"-Xms384m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:-AlwaysPreTouch", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1",
		"-XX:+ExitOnOutOfMemoryError", "-Djava.io.tmpdir=" + d + "/tmp", "-XX:ErrorFile=" + d + "/logs/hs_err.log",
	}
	log4j := []string{
		"status = error",
		"appender.file.type = File",
		"appender.file.name = file",
		"appender.file.fileName = ${sys:es.logs.base_path}${sys:file.separator}server.log",
		"appender.file.layout.type = PatternLayout",
		"appender.file.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%n",
		"rootLogger.level = info",
		"rootLogger.appenderRef.file.ref = file",
	}
	for name, lines := range map[string][]string{"elasticsearch.yml": yml, "jvm.options": jvm, "log4j2.properties": log4j} {
		if err := os.WriteFile(filepath.Join(d, "config", name), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}
