package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAPlanThatCannotRunIsRefusedBeforeAnythingStarts(t *testing.T) {
	for text, reason := range map[string]string{
		`[`: "not valid JSON",
		`{"processes":[{"name":"../sh","argv":["sh"]}]}`:                                                                                                   "not the name of a file",
		`{"processes":[{"name":"..","argv":["sh"]}]}`:                                                                                                      "not the name of a file",
		`{"processes":[{"name":"sh","argv":[]}]}`:                                                                                                          "empty command line",
		`{"processes":[{"name":"sh","argv":["a\u0000b"]}]}`:                                                                                                "zero byte",
		`{"processes":[{"name":"sh","argv":["sh"],"cpu_share":1.5}]}`:                                                                                      "out of range",
		`{"cycle_s":1,"births":[{"at_s":1,"lifetime_s":1,"process":{"name":"sh","argv":["sh"]}}]}`:                                                         "ascend",
		`{"cycle_s":1,"births":[{"at_s":0.5,"lifetime_s":0,"process":{"name":"sh","argv":["sh"]}}]}`:                                                       "ascend",
		`{"cycle_s":1,"births":[{"at_s":0.5,"lifetime_s":1,"process":{"name":"a/b","argv":["sh"]}}]}`:                                                      "not the name",
		`{"cycle_s":1,"births":[{"at_s":0.5,"lifetime_s":1,"process":{"name":"sh","argv":["sh"]},"becomes":{"after_s":1,"name":"awk","argv":["awk"]}}]}`:   "within its life",
		`{"cycle_s":1,"births":[{"at_s":0.5,"lifetime_s":1,"process":{"name":"sh","argv":["sh"]},"becomes":{"after_s":0.5,"name":"a/b","argv":["awk"]}}]}`: "not the name",
	} {
		if _, err := parsePlan([]byte(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v, want %q", text, err, reason)
		}
	}
}

func TestEachBirthHasItsOwnNumber(t *testing.T) {
	template := Birth{
		Process: Process{Name: "sh", Argv: []string{"sh", "--job={birth}"}},
		Becomes: &Program{Name: "awk", Argv: []string{"awk", "--job={birth}"}},
	}
	got := template.numbered(7)
	if got.Process.Argv[1] != "--job=7" || got.Becomes.Argv[1] != "--job=7" {
		t.Errorf("got %q and %q", got.Process.Argv, got.Becomes.Argv)
	}
	if template.Process.Argv[1] != "--job={birth}" || template.Becomes.Argv[1] != "--job={birth}" {
		t.Error("the template itself changed")
	}
}

func TestANameIsALinkToThisProgramEvenAfterItWasAnother(t *testing.T) {
	dir := t.TempDir()
	self := filepath.Join(dir, "self")
	stale := filepath.Join(dir, "nginx")
	for _, path := range []string{self, stale} {
		if err := os.WriteFile(path, []byte(path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path, err := links{self: self, dir: dir}.path("nginx")
	if err != nil {
		t.Fatal(err)
	}
	if same, err := sameFile(self, path); err != nil || !same {
		t.Errorf("same %v, err %v", same, err)
	}
}
