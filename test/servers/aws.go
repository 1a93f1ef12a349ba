package servers

import (
	_ "embed" // requirements.txt
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The emulators' versions are pinned: their answers are what the tests were written
// against.
const (
	ministackVersion = "1.5.33"
	motoVersion      = "5.2.5"
)

// requirements are both emulators and all they need, pinned too.
//
//go:embed requirements.txt
var requirements []byte

// AWS is the emulators of AWS from PyPI, in a virtual environment of their own: MiniStack
// for CloudFormation and most else, moto for EC2, Auto Scaling, SSM, EMR and load
// balancers, whose instances exist there.
type AWS struct {
	MiniStack, Moto string // URLs
	cmds            []*exec.Cmd
}

// StartAWS installs the emulators on first use and starts them.
func StartAWS(dir string) (*AWS, error) {
	py, err := awsPython()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a := &AWS{}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	a.MiniStack = "http://127.0.0.1:" + port
	err = a.start(dir, "ministack", a.MiniStack+"/_ministack/health", []string{
		"GATEWAY_PORT=" + port, "BIND_HOST=127.0.0.1", "MINISTACK_HOST=127.0.0.1", "MINISTACK_ACCOUNT_ID=123456789012",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AUTH=true", "S3_PERSIST=0", "PERSIST_STATE=0",
		"SFTP_ENABLED=0", "IOT_MTLS_ENABLED=0", "REDIS_HOST=127.0.0.1", "LOG_LEVEL=WARNING",
	}, py, "-m", "ministack")
	if err != nil {
		return nil, err
	}
	if port, err = freePort(); err != nil {
		_ = a.Stop()
		return nil, err
	}
	a.Moto = "http://127.0.0.1:" + port
	err = a.start(dir, "moto", a.Moto+"/moto-api/", []string{"MOTO_ACCOUNT_ID=123456789012"},
		py, "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
	if err != nil {
		_ = a.Stop()
		return nil, err
	}
	return a, nil
}

func freePort() (string, error) {
	addr, err := FreeAddr()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(addr)
	return port, err
}

// start starts one emulator, without the caller's own AWS settings, and waits until it
// answers.
func (a *AWS) start(dir, name, health string, env []string, command ...string) error {
	out, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "MOTO_") && !strings.HasPrefix(v, "MINISTACK_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env, "DOCKER_HOST=unix:///nonexistent", "TMPDIR="+dir, "PYTHONUNBUFFERED=1"), env...)
	if err := cmd.Start(); err != nil {
		return err
	}
	a.cmds = append(a.cmds, cmd)
	err = Await(60*time.Second, func() error {
		res, err := http.Get(health)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s did not answer: %w (log: %s)", name, err, out.Name())
	}
	return nil
}

// Stop ends the emulators.
func (a *AWS) Stop() error {
	var errs []error
	for _, cmd := range a.cmds {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
			continue
		}
		_ = cmd.Wait() // killed: its exit code says nothing
	}
	return errors.Join(errs...)
}

func awsPython() (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	venv := filepath.Join(cache, "ministack-"+ministackVersion+"-moto-"+motoVersion)
	py := filepath.Join(venv, "bin", "python")
	if _, err := os.Stat(filepath.Join(venv, ".complete")); err == nil {
		return py, nil
	}
	if err := Need([2]string{"python3", "python3"}); err != nil {
		return "", err
	}
	log.Printf("installing MiniStack %s and moto %s by pip (once)", ministackVersion, motoVersion)
	if err := os.RemoveAll(venv); err != nil {
		return "", err
	}
	if err := quiet("python3", "-m", "venv", venv); err != nil {
		return "", fmt.Errorf("%w (Debian: apt-get install python3-venv)", err)
	}
	pins := filepath.Join(venv, "requirements.txt")
	if err := os.WriteFile(pins, requirements, 0o644); err != nil {
		return "", err
	}
	if err := quiet(py, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", pins); err != nil {
		return "", err
	}
	return py, os.WriteFile(filepath.Join(venv, ".complete"), nil, 0o644)
}
