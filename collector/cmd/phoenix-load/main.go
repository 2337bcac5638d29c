// Phoenix-load runs real processes with real names, so that a host looks like one that works.
//
// The supervisor reads a plan (JSON), makes one hard link of itself per wanted name, and executes
// each link with the wanted command line. What a child should cost travels in one environment
// variable, so its arguments are free to say whatever the plan wants:
//
//	phoenix-load -bin-dir DIR [-plan FILE] [-status FILE]
//
// Nobody outlives the supervisor: every child asks the kernel for SIGKILL at the supervisor's end.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// The kernel watches the thread that forked, not its process: all forks happen on the main thread,
// which main.main keeps for itself from before it starts.
func init() { runtime.LockOSThread() }

func main() {
	if wish, ok := os.LookupEnv(wishVariable); ok {
		runtime.UnlockOSThread()
		os.Exit(be(wish))
	}
	if err := supervise(); err != nil {
		fmt.Fprintln(os.Stderr, "phoenix-load:", err)
		os.Exit(1)
	}
}

func supervise() error {
	binDir := flag.String("bin-dir", "", "where the links with the wanted names are made")
	planPath := flag.String("plan", "-", "the plan to run; - is standard input")
	statusPath := flag.String("status", "", "where to keep a JSON status; empty for none")
	flag.Parse()
	if *binDir == "" || flag.NArg() > 0 {
		return fmt.Errorf("usage: phoenix-load -bin-dir DIR [-plan FILE] [-status FILE]")
	}
	text, err := readAll(*planPath)
	if err != nil {
		return err
	}
	plan, err := parsePlan(text)
	if err != nil {
		return err
	}
	// Before the first fork, so that no signal and no death of a child is missed.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)

	self, err := os.Executable()
	if err != nil {
		return err
	}
	return newSupervisor(plan, links{self: self, dir: *binDir}, *statusPath).run(stop, ended)
}

func readAll(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(path)
}
