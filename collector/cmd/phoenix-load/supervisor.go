package main

import (
	"encoding/json"
	"errors"
	"os"
	"syscall"
	"time"
)

const (
	statusEvery = time.Second
	// How long children may take to obey SIGTERM before they are killed.
	patience = 2 * time.Second
)

// Status is what the supervisor says about itself; phoenix.load reads it.
type Status struct {
	PID       int    `json:"pid"`
	Phase     string `json:"phase"` // starting, ready, stopping, stopped
	Live      int    `json:"live"`
	Started   int    `json:"started"` // in all, long-lived and born
	Ended     int    `json:"ended"`
	Failed    int    `json:"failed"` // could not be started
	LastError string `json:"last_error"`
}

// supervisor starts the plan's processes, its births at their time, and collects whoever ends.
// It has one goroutine on the main thread: two thousand waiting goroutines would each hold a thread.
type supervisor struct {
	plan       Plan
	links      links
	paths      map[string]string
	live       map[int]struct{}
	status     Status
	statusPath string
	births     int
}

func newSupervisor(plan Plan, links links, statusPath string) *supervisor {
	return &supervisor{
		plan: plan, links: links, statusPath: statusPath,
		paths: map[string]string{}, live: map[int]struct{}{},
		status: Status{PID: os.Getpid(), Phase: "starting"},
	}
}

func (s *supervisor) run(stop, ended <-chan os.Signal) error {
	if err := os.MkdirAll(s.links.dir, 0o755); err != nil {
		return err
	}
	for _, process := range s.plan.Processes {
		select {
		case <-stop:
			return s.end(ended)
		default:
			s.start(Birth{Process: process})
			s.collect()
		}
	}
	s.status.Phase = "ready"
	if err := s.say(); err != nil {
		return errors.Join(err, s.end(ended))
	}
	s.watch(stop, ended)
	return s.end(ended)
}

// watch is the life between ready and stop.
func (s *supervisor) watch(stop, ended <-chan os.Signal) {
	report := time.NewTicker(statusEvery)
	defer report.Stop()
	start := time.Now()
	birth := time.NewTimer(0)
	for {
		select {
		case <-stop:
			return
		case <-ended:
			s.collect()
		case <-report.C:
			_ = s.say() // a full disk must not end the load; the file only grows old
		case <-birth.C:
			if next, any := s.bear(time.Since(start)); any {
				birth.Reset(next)
			}
		}
	}
}

// bear starts every birth that is due `since` the start and answers the time to the next one.
func (s *supervisor) bear(since time.Duration) (time.Duration, bool) {
	count := len(s.plan.Births)
	if count == 0 {
		return 0, false
	}
	for {
		birth := s.plan.Births[s.births%count]
		due := seconds(float64(s.births/count)*s.plan.CycleS + birth.AtS)
		if due > since {
			return due - since, true
		}
		s.births++
		s.start(birth.numbered(s.births))
	}
}

// start runs one process. What fails is counted and said, never fatal: the rest still makes a load.
func (s *supervisor) start(birth Birth) {
	pid, err := s.execute(birth)
	if err != nil {
		s.status.Failed++
		s.status.LastError = birth.Process.Name + ": " + err.Error()
		return
	}
	s.live[pid] = struct{}{}
	s.status.Started++
}

func (s *supervisor) execute(birth Birth) (int, error) {
	process := birth.Process
	path, err := s.path(process.Name)
	if err != nil {
		return 0, err
	}
	wish := wish{
		CPUShare: process.CPUShare, RSSBytes: process.RSSBytes, WriteBytes: process.WriteBytes,
		LifetimeS: birth.LifetimeS, Scratch: s.links.dir,
	}
	if next := birth.Becomes; next != nil {
		nextPath, err := s.path(next.Name)
		if err != nil {
			return 0, err
		}
		wish.Next = &image{AfterS: next.AfterS, Path: nextPath, Argv: next.Argv}
	}
	null := devNull.Fd()
	return syscall.ForkExec(path, process.Argv, &syscall.ProcAttr{
		Env:   wish.environment(),
		Files: []uintptr{null, null, null},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
}

// path is the link with that name, made once.
func (s *supervisor) path(name string) (string, error) {
	if path, known := s.paths[name]; known {
		return path, nil
	}
	path, err := s.links.path(name)
	if err == nil {
		s.paths[name] = path
	}
	return path, err
}

// collect takes the status of everyone who ended, so that none stays a zombie. One SIGCHLD may
// stand for many of them.
func (s *supervisor) collect() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		delete(s.live, pid)
		s.status.Ended++
	}
}

func (s *supervisor) end(ended <-chan os.Signal) error {
	s.status.Phase = "stopping"
	s.signal(syscall.SIGTERM)
	kill := time.NewTimer(patience)
	defer kill.Stop()
	for s.collect(); len(s.live) > 0; s.collect() {
		select {
		case <-ended:
		case <-kill.C:
			s.signal(syscall.SIGKILL)
		}
	}
	s.status.Phase = "stopped"
	return s.say()
}

func (s *supervisor) signal(number syscall.Signal) {
	for pid := range s.live {
		_ = syscall.Kill(pid, number)
	}
}

// say replaces the status file in one step, so that a reader never sees half of it.
func (s *supervisor) say() error {
	if s.statusPath == "" {
		return nil
	}
	s.status.Live = len(s.live)
	text, err := json.Marshal(s.status)
	if err != nil {
		return err
	}
	fresh := s.statusPath + ".new"
	if err := os.WriteFile(fresh, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, s.statusPath)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
