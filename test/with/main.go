// With runs a command with real servers around it:
//
//	go run ./test/with [-redis] [-elasticsearch] [-aws] [-chromium] -- go test -tags integration ./...
//
// Without a choice it starts all. What is missing is installed, or the error says
// what to install. The command finds the servers by these variables:
//
//	TWOKEY_TEST_REDIS    redis://127.0.0.1:PORT/0
//	TWOKEY_TEST_ES       the URLs of n1, n2 and n3 (zones a, b, spot), by comma
//	TWOKEY_TEST_ES_DIR   for servers.OpenElasticsearch: stop and start single nodes
//	TWOKEY_TEST_AWS      the URL of MiniStack, an emulator of AWS
//	TWOKEY_TEST_MOTO     the URL of moto, another one
//	TWOKEY_TEST_CHROMIUM the browser's program
package main

import (
	"errors"
	"flag"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"twokey/test/servers"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("test/with: ")
	var want choice
	flag.BoolVar(&want.redis, "redis", false, "start Redis")
	flag.BoolVar(&want.elasticsearch, "elasticsearch", false, "start Elasticsearch")
	flag.BoolVar(&want.aws, "aws", false, "start the emulators of AWS")
	flag.BoolVar(&want.chromium, "chromium", false, "install Chromium")
	flag.Parse()
	if want == (choice{}) {
		want = choice{true, true, true, true}
	}
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	code, err := run(want, flag.Args())
	if err != nil {
		log.Print(err)
	}
	os.Exit(code)
}

type choice struct{ redis, elasticsearch, aws, chromium bool }

// run starts what is wanted, runs the command, and stops everything again. Its code
// is the command's.
func run(want choice, command []string) (int, error) {
	dir, err := os.MkdirTemp("", "twokey-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	env := os.Environ()
	begin := time.Now()
	if want.redis {
		r, err := servers.StartRedis(filepath.Join(dir, "redis"))
		if err != nil {
			return 1, err
		}
		defer r.Kill()
		env = append(env, "TWOKEY_TEST_REDIS="+r.URL(0))
	}
	if want.elasticsearch {
		es, err := servers.StartElasticsearch(filepath.Join(dir, "elasticsearch"), 19200, "a", "b", "spot")
		if err != nil {
			return 1, err
		}
		defer es.Stop()
		env = append(env, "TWOKEY_TEST_ES="+strings.Join(es.URLs(), ","), "TWOKEY_TEST_ES_DIR="+es.Dir)
	}
	if want.aws {
		a, err := servers.StartAWS(filepath.Join(dir, "aws"))
		if err != nil {
			return 1, err
		}
		defer a.Stop()
		env = append(env, "TWOKEY_TEST_AWS="+a.MiniStack, "TWOKEY_TEST_MOTO="+a.Moto)
	}
	if want.chromium {
		if err := servers.Need([2]string{"chromium", "chromium"}); err != nil {
			return 1, err
		}
		path, err := exec.LookPath("chromium")
		if err != nil {
			return 1, err
		}
		env = append(env, "TWOKEY_TEST_CHROMIUM="+path)
	}
	log.Printf("servers are up after %.0f s", time.Since(begin).Seconds())

	// A signal is for the command; the servers stop after it.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended just now
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(1, exit.ExitCode()), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
