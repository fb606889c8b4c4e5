//go:build unix && !linux

package git

import "syscall"

// processAttributes put a child in a group of its own.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
