package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Redis is a redis-server of Debian's package, with an append-only file as in
// production, on a loopback port of its own.
type Redis struct {
	Addr string
	dir  string
	cmd  *exec.Cmd
}

// StartRedis installs redis-server if it is missing, and starts one in dir.
func StartRedis(dir string) (*Redis, error) {
	if err := need("redis-server", "redis-server"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	r := &Redis{Addr: addr, dir: dir}
	return r, r.Start()
}

// URL names database db of the server.
func (r *Redis) URL(db int) string { return fmt.Sprintf("redis://%s/%d", r.Addr, db) }

// Start starts the server again, with the data of before, and waits until it
// answers.
func (r *Redis) Start() error {
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return err
	}
	logFile := filepath.Join(r.dir, "redis.log")
	r.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", r.dir, "--logfile", logFile,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction", "--databases", "64")
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	if err := Await(20*time.Second, func() error { return pingRedis(r.Addr) }); err != nil {
		_ = r.Kill()
		return fmt.Errorf("redis-server did not answer: %w (log: %s)", err, logFile)
	}
	return nil
}

// Pause stops the process without ending it, as a machine that hangs; Continue
// lets it go on.
func (r *Redis) Pause() error    { return r.cmd.Process.Signal(syscall.SIGSTOP) }
func (r *Redis) Continue() error { return r.cmd.Process.Signal(syscall.SIGCONT) }

// Kill ends the server with SIGKILL.
func (r *Redis) Kill() error { return r.end(syscall.SIGKILL) }

// Stop ends the server in order.
func (r *Redis) Stop() error { return r.end(syscall.SIGTERM) }

func (r *Redis) end(s syscall.Signal) error {
	if err := r.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = r.cmd.Wait() // its exit code after a signal says nothing
	return nil
}

func pingRedis(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(b[:n]), "+PONG") {
		return fmt.Errorf("answered %q", b[:n])
	}
	return nil
}

// FreeAddr returns a loopback address with a port that is free now.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Await calls f every 100 ms until it returns nil or the time is over, and returns
// its last error.
func Await(limit time.Duration, f func() error) error {
	end := time.Now().Add(limit)
	for {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
