package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// The environment between make, the test process outside of the namespaces, and the one inside.
const (
	envWanted = "TAGPIN_E2E"        // anything: run
	envInside = "TAGPIN_E2E_INSIDE" // the directory of this run, for the process inside
	envLogs   = "TAGPIN_E2E_LOGS"   // where the logs of all processes go; a temporary directory by default
)

// TestMain builds what is missing, and then runs the tests in namespaces of their own.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envContainer) != "":
		fmt.Fprintln(os.Stderr, "starting the container:", becomeContainer(os.Getenv(envContainer)))
		os.Exit(1)
	case os.Getenv(envWanted) == "":
		os.Exit(m.Run()) // what needs a control plane skips itself
	case os.Getenv(envInside) != "":
		if err := enter(); err != nil {
			fmt.Fprintln(os.Stderr, "entering the namespaces:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	default:
		if err := outside(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// outside runs this program again, as the first process of new namespaces: when it ends, however it ends, the kernel ends
// everything that it started.
func outside() error {
	if err := buildAll(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "e2e") // short: there are Unix sockets in it
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), envInside+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.New("end to end: failed")
	}
	return err
}

// frontAddr is the address of all hosts. It is a public one: tagpin dials no other without being told to.
const frontAddr = "47.96.0.1"

// hosts are the names that the documentation uses: all are this machine.
var hosts = []string{
	acrHost, "registry-vpc.cn-hangzhou.aliyuncs.com", acrRealm, gitHost, argocdHost, hookHost, rawHost,
}

// enter makes this process's namespaces fit to be used: loopback, the processes of this namespace, the hosts of the
// documentation, and one authority to trust.
func enter() error {
	dir := os.Getenv(envInside)
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"address", "add", frontAddr + "/32", "dev", "lo"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	lines := "127.0.0.1 localhost argocd-redis\n"
	for _, h := range hosts {
		lines += frontAddr + " " + h + "\n"
	}
	if err := cover("/etc/hosts", filepath.Join(dir, "hosts"), []byte(lines)); err != nil {
		return err
	}
	ca, err := newAuthority(dir)
	if err != nil {
		return err
	}
	for _, bundle := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"} {
		if _, err := os.Stat(bundle); err != nil {
			continue
		}
		return cover(bundle, filepath.Join(dir, "ca-certificates.crt"), ca)
	}
	return errors.New("no bundle of CA certificates: install ca-certificates")
}

// cover shows content in place of a file, to this namespace only.
func cover(target, source string, content []byte) error {
	if err := os.WriteFile(source, content, 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("covering %s: %w", target, err)
	}
	return nil
}
