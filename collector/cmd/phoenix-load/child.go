package main

import (
	"encoding/json"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

const (
	// The presence of this variable makes a process a child instead of the supervisor.
	wishVariable = "PHOENIX_LOAD_WISH"
	// Shortest burst of work: shorter ones would cost more in waking than in working.
	leastBurst = 2 * time.Millisecond
	// A writer starts its file over at this size.
	fileBytes = 4 << 20
)

var devNull = func() *os.File {
	file, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	return file
}()

// wish is what a child should cost and how long it should live (0: until its supervisor ends).
type wish struct {
	CPUShare   float64 `json:"cpu,omitempty"`
	RSSBytes   int64   `json:"rss,omitempty"`
	WriteBytes int64   `json:"write,omitempty"`
	LifetimeS  float64 `json:"life,omitempty"`
	Scratch    string  `json:"scratch"`
	Next       *image  `json:"next,omitempty"`
}

// image is what a child executes in its own place AfterS into its life.
type image struct {
	AfterS float64  `json:"after"`
	Path   string   `json:"path"`
	Argv   []string `json:"argv"`
}

// environment is the whole environment of the child. One scheduler and no garbage collector: a
// child allocates next to nothing, and this keeps its threads and its private memory small.
func (w wish) environment() []string {
	text, _ := json.Marshal(w) // numbers and text from JSON: cannot fail
	return []string{wishVariable + "=" + string(text), "GOMAXPROCS=1", "GOGC=off"}
}

// be lives the life that was wished for. Everyone ends at SIGTERM, by Go's own default.
func be(text string) int {
	var w wish
	if json.Unmarshal([]byte(text), &w) != nil {
		return 2
	}
	end := time.Now().Add(100 * 365 * 24 * time.Hour)
	if w.LifetimeS > 0 {
		end = time.Now().Add(seconds(w.LifetimeS))
	}
	if next := w.Next; next != nil {
		live(w, time.Now().Add(seconds(next.AfterS)))
		w.Next, w.LifetimeS = nil, max(w.LifetimeS-next.AfterS, 0.001)
		_ = syscall.Exec(next.Path, next.Argv, w.environment())
		// What could not be executed goes on as what it is.
	}
	live(w, end)
	return 0
}

// live costs what was wished for, until `end`.
func live(w wish, end time.Time) {
	memory := touch(w.RSSBytes)
	if w.CPUShare > 0 || w.WriteBytes > 0 {
		work(w, end)
	}
	time.Sleep(time.Until(end))
	runtime.KeepAlive(memory)
}

// touch makes `size` bytes resident: mapped outside of Go's heap, one write per page.
func touch(size int64) []byte {
	if size <= 0 {
		return nil
	}
	memory, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	for at := 0; at < len(memory); at += os.Getpagesize() {
		memory[at] = 1
	}
	return memory
}

// work spends the wished share of a core in bursts and writes at the wished rate, until `end`.
func work(w wish, end time.Time) {
	period := time.Second
	if w.CPUShare > 0 {
		period = max(period, time.Duration(float64(leastBurst)/w.CPUShare))
	}
	burst := time.Duration(w.CPUShare * float64(period))
	file := scratch(w)
	block := make([]byte, 1<<16)
	written, total := int64(0), int64(0)
	// Each at its own point of the period, or all would work at once.
	time.Sleep(min(period*time.Duration(os.Getpid()%97)/97, time.Until(end)))
	for {
		begin := time.Now()
		if !begin.Before(end) {
			return
		}
		burn(burst)
		for total += w.WriteBytes * int64(period/time.Millisecond) / 1000; file >= 0 && written < total; {
			n, err := syscall.Pwrite(file, block[:min(int64(len(block)), total-written)], written%fileBytes)
			if err != nil || n <= 0 {
				written = total // a full disk costs this load nothing and us no error
				break
			}
			written += int64(n)
			if written%fileBytes < int64(n) {
				_ = syscall.Ftruncate(file, 0) // only pages dirtied anew count as written
			}
		}
		time.Sleep(min(period-time.Since(begin), time.Until(end)))
	}
}

// burn works until the process has used `burst` more CPU, or thrice that has passed on a busy host.
func burn(burst time.Duration) {
	goal, deadline := cpuTime()+burst, time.Now().Add(3*burst)
	for x := uint64(1); cpuTime() < goal && time.Now().Before(deadline); {
		for range 20_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		runtime.KeepAlive(x)
	}
}

// cpuTime is what this process used so far, to the nanosecond (CLOCK_PROCESS_CPUTIME_ID).
func cpuTime() time.Duration {
	const clockProcessCPU = 2
	var at syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockProcessCPU, uintptr(unsafe.Pointer(&at)), 0); errno != 0 {
		return 0
	}
	return time.Duration(at.Nano())
}

// scratch opens a file that has no name, so nothing stays behind; -1 when there is none to be had.
func scratch(w wish) int {
	const tmpfile = 0o20000000 | syscall.O_DIRECTORY // O_TMPFILE, open(2)
	if w.WriteBytes <= 0 {
		return -1
	}
	file, err := syscall.Open(w.Scratch, tmpfile|syscall.O_WRONLY|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return -1
	}
	return file
}
