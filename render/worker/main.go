package worker

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/tagpin/tagpin/render"
)

// name is a worker's zeroth argument. It is no command: nobody can start one by accident.
const name = "tagpin-render-worker"

// The pipes of a worker. Not the standard ones: a library that prints can't break the protocol.
const (
	requestsFD = 3
	answersFD  = 4
)

// GCPercent is how much garbage a worker makes before it collects, in percent of what it keeps. Go's 100 costs a seventh of a render.
const GCPercent = 300

// IsWorker says whether this process was started by a Pool: main then calls Main and does nothing else.
func IsWorker() bool { return len(os.Args) == 2 && os.Args[0] == name }

// Main renders one request after the other until the Pool closes the pipe, and returns the exit code.
func Main() int {
	memory, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		return 2
	}
	// A render leaves much behind and keeps little: collect less often, but harder before the Pool has to kill. A recursion ends
	// as one, and not as a use of memory.
	debug.SetGCPercent(GCPercent)
	debug.SetMemoryLimit(memory / 10 * 9)
	debug.SetMaxStack(int(min(memory/4, math.MaxInt32)))
	go endWithParent(os.Getppid())
	charts := render.NewCharts(render.DefaultCharts)
	requests, answers := os.NewFile(requestsFD, "requests"), os.NewFile(answersFD, "answers")
	for {
		var r render.Request
		if err := receive(requests, &r); err != nil {
			return 0
		}
		a := answerOf(charts.Render(context.Background(), r))
		if err := sendAnswer(answers, a); err != nil {
			return 1
		}
	}
}

// endWithParent ends a worker whose server was killed: one that is inside an endless template doesn't notice its pipe's end.
func endWithParent(parent int) {
	for os.Getppid() == parent {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}
