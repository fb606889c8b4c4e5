package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// envContainer makes this program the one that becomes a container's process: a containerRun in JSON.
const envContainer = "TAGPIN_E2E_CONTAINER"

// A containerRun is a process in a file tree of its own: the machine's programs and certificates, an image's own files, and
// what is mounted; the root is read-only, as the Deployment says.
type containerRun struct {
	Root   string // an empty directory
	Image  map[string]string
	Mounts map[string]string // path in the container to directory or file outside
	Args   []string
	Env    []string
}

// command is a process to be started; it ends with this one.
func (c containerRun) command() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envContainer+"="+string(spec))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// becomeContainer replaces this process with the container's.
func becomeContainer(spec string) error {
	var c containerRun
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", c.Root, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("the root: %w", err)
	}
	for _, shared := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/dev", "/proc"} {
		if err := c.share(shared); err != nil {
			return err
		}
	}
	for _, set := range []map[string]string{c.Image, c.Mounts} {
		for target, source := range set {
			if err := c.bind(source, target); err != nil {
				return err
			}
		}
	}
	if err := syscall.Mount("", c.Root, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("making the root read-only: %w", err)
	}
	if err := syscall.Chroot(c.Root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return syscall.Exec(c.Args[0], c.Args, c.Env)
}

// share shows a directory of the machine, or makes the same symbolic link.
func (c containerRun) share(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSymlink != 0:
		target, err := os.Readlink(dir)
		if err != nil {
			return err
		}
		return os.Symlink(target, filepath.Join(c.Root, dir))
	}
	return c.bind(dir, dir)
}

func (c containerRun) bind(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	at := filepath.Join(c.Root, target)
	if info.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
		err = os.WriteFile(at, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := syscall.Mount(source, at, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", source, target, err)
	}
	return nil
}

// expand replaces $(NAME) as Kubernetes does in args.
func expand(text string, env []string) string {
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		text = strings.ReplaceAll(text, "$("+name+")", value)
	}
	return text
}
