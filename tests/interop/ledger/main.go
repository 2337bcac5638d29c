// Command ledger judges notes, proofs and tiles with golang.org/x/mod/sumdb, which Phoenix shares no
// code with. It reads one JSON question a line and writes one JSON answer a line.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Ask     string   `json:"ask"`
	Note    string   `json:"note"`
	Text    string   `json:"text"`
	Key     string   `json:"key"`
	Entries []string `json:"entries"`
	Index   int64    `json:"index"`
	Old     int64    `json:"old"`
	Size    int64    `json:"size"`
	Leaf    string   `json:"leaf"`
	OldRoot string   `json:"old_root"`
	Root    string   `json:"root"`
	Proof   []string `json:"proof"`
}

type answer struct {
	OK    bool              `json:"ok"`
	Why   string            `json:"why,omitempty"`
	Text  string            `json:"text,omitempty"`
	Note  string            `json:"note,omitempty"`
	Root  string            `json:"root,omitempty"`
	Tiles map[string]string `json:"tiles,omitempty"`
}

func main() {
	questions := json.NewDecoder(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for questions.More() {
		var asked question
		if err := questions.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		found, err := judge(asked)
		if err != nil {
			found = answer{Why: err.Error()}
		} else {
			found.OK = true
		}
		if err := answers.Encode(found); err != nil {
			os.Exit(2)
		}
	}
}

func judge(asked question) (answer, error) {
	switch asked.Ask {
	case "open":
		key, err := note.NewVerifier(asked.Key)
		if err != nil {
			return answer{}, err
		}
		opened, err := note.Open([]byte(asked.Note), note.VerifierList(key))
		if err != nil {
			return answer{}, err
		}
		return answer{Text: opened.Text}, nil
	case "sign":
		key, err := note.NewSigner(asked.Key)
		if err != nil {
			return answer{}, err
		}
		signed, err := note.Sign(&note.Note{Text: asked.Text}, key)
		return answer{Note: string(signed)}, err
	case "inclusion":
		hashes, err := hashes(append(asked.Proof, asked.Root, asked.Leaf))
		if err != nil {
			return answer{}, err
		}
		n := len(asked.Proof)
		return answer{}, tlog.CheckRecord(hashes[:n], asked.Size, hashes[n], asked.Index, hashes[n+1])
	case "consistency":
		hashes, err := hashes(append(asked.Proof, asked.Root, asked.OldRoot))
		if err != nil {
			return answer{}, err
		}
		n := len(asked.Proof)
		return answer{}, tlog.CheckTree(hashes[:n], asked.Size, hashes[n], asked.Old, hashes[n+1])
	case "tiles":
		return tiles(asked.Entries)
	}
	return answer{}, fmt.Errorf("no such question: %q", asked.Ask)
}

type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = s[index]
	}
	return found, nil
}

// tiles returns the root and every tile of a log, under the paths of c2sp.org/tlog-tiles: those of
// tlog begin with the height of a tile.
func tiles(entries []string) (answer, error) {
	const height = 8
	var stored storage
	found := answer{Tiles: map[string]string{}}
	for i, entry := range entries {
		more, err := tlog.StoredHashes(int64(i), []byte(entry), stored)
		if err != nil {
			return answer{}, err
		}
		stored = append(stored, more...)
	}
	size := int64(len(entries))
	root, err := tlog.TreeHash(size, stored)
	if err != nil {
		return answer{}, err
	}
	found.Root = hex.EncodeToString(root[:])
	for _, tile := range tlog.NewTiles(height, 0, size) {
		data, err := tlog.ReadTileData(tile, stored)
		if err != nil {
			return answer{}, err
		}
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		found.Tiles[path] = hex.EncodeToString(data)
	}
	return found, nil
}

func hashes(texts []string) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != tlog.HashSize {
			return nil, fmt.Errorf("no hash: %q", text)
		}
		found[i] = tlog.Hash(raw)
	}
	return found, nil
}
