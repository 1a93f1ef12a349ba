package servers

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// CacheDir is where fetched servers stay between runs.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "twokey-test")
	return dir, os.MkdirAll(dir, 0o755)
}

// aptLists fetches the package lists once per process.
var aptLists = sync.OnceValue(func() error { return quiet("apt-get", "update", "-qq") })

// need makes sure a program is installed, by Debian's package of it if it can. The
// error says what to install by hand.
func need(program, pkg string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	byHand := fmt.Errorf("%s is not installed (Debian: apt-get install %s)", program, pkg)
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return byHand
	}
	log.Printf("installing Debian's %s", pkg)
	if err := aptLists(); err != nil {
		return fmt.Errorf("%w: %w", byHand, err)
	}
	if err := quiet("apt-get", "install", "-y", "-qq", "--no-install-recommends", pkg); err != nil {
		return fmt.Errorf("%w: %w", byHand, err)
	}
	_, err := exec.LookPath(program)
	return err
}

// Need installs the programs of Debian's packages, given as program and package.
func Need(pairs ...[2]string) error {
	for _, p := range pairs {
		if err := need(p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

// quiet runs a command and shows its output only in the error.
func quiet(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.Join(lines[max(0, len(lines)-5):], " | "))
	}
	return nil
}
