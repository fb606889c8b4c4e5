package plugin

import (
	"errors"
	"runtime/debug"

	"github.com/sirupsen/logrus"
)

var errPanic = errors.New("tagpin crashed while working on this; its log says where: please report it")

// guard makes an error of a panic, which would otherwise end the process and with it the renders of all other applications.
// What the panic says goes to the log alone: it can hold anything.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			logrus.Errorf("panic: %v\n%s", p, debug.Stack())
			err = errPanic
		}
	}()
	return f()
}
