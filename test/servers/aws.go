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
	"syscall"
	"time"
)

// ministackVersion is pinned: its answers are what the tests were written against.
const ministackVersion = "1.5.33"

// requirements are MiniStack and all it needs, pinned too.
//
//go:embed requirements.txt
var requirements []byte

// MiniStack is the emulator of AWS from PyPI, in a virtual environment of its own.
type MiniStack struct {
	URL string
	cmd *exec.Cmd
}

// StartMiniStack installs the emulator on first use and starts it.
func StartMiniStack(dir string) (*MiniStack, error) {
	py, err := ministackPython()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(dir, "ministack.log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	m := &MiniStack{URL: "http://" + addr, cmd: exec.Command(py, "-m", "ministack")}
	m.cmd.Dir, m.cmd.Stdout, m.cmd.Stderr = dir, out, out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	m.cmd.Env = append(os.Environ(), "GATEWAY_PORT="+port, "MINISTACK_HOST=127.0.0.1", "MINISTACK_ACCOUNT_ID=123456789012", "S3_PERSIST=0", "PERSIST_STATE=0")
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	err = Await(60*time.Second, func() error {
		res, err := http.Get(m.URL + "/_ministack/health")
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
		_ = m.Stop()
		return nil, fmt.Errorf("MiniStack did not answer: %w (log: %s)", err, out.Name())
	}
	return m, nil
}

// Stop ends the emulator.
func (m *MiniStack) Stop() error {
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = m.cmd.Wait() // killed: its exit code says nothing
	return nil
}

func ministackPython() (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	venv := filepath.Join(cache, "ministack-"+ministackVersion)
	py := filepath.Join(venv, "bin", "python")
	if _, err := os.Stat(filepath.Join(venv, ".complete")); err == nil {
		return py, nil
	}
	if err := Need([2]string{"python3", "python3"}); err != nil {
		return "", err
	}
	log.Printf("installing MiniStack %s by pip (once)", ministackVersion)
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
