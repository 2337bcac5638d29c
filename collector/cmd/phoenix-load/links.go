package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// links gives our own executable the names of others. Hard links share one inode, so that the
// kernel keeps one copy of the program's text for all of them.
type links struct {
	self string
	dir  string
}

// path makes sure that dir/name is this very program and answers its path.
func (l links) path(name string) (string, error) {
	path := filepath.Join(l.dir, name)
	if same, err := sameFile(l.self, path); err == nil && same {
		return path, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	err := os.Link(l.self, fresh)
	if errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EMLINK) {
		err = duplicate(l.self, fresh)
	}
	if err != nil {
		return "", err
	}
	return path, os.Rename(fresh, path)
}

func sameFile(a, b string) (bool, error) {
	left, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	right, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(left, right), nil
}

// duplicate copies where a hard link is impossible (another file system, or one without links).
func duplicate(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
