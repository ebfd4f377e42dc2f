package main

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"github.com/fido-device-onboard/go-fdo/fsim"
	"github.com/fido-device-onboard/go-fdo/serviceinfo"
)

// effects is what service info did to a device: the files of its folder, and every message in order.
type effects struct {
	folder   string
	mutex    sync.Mutex
	Messages []string   `json:"messages"`
	Commands [][]string `json:"commands"`
	Files    []fileFact `json:"files"`
}

type fileFact struct {
	Name   string `json:"name"`
	Size   int    `json:"size"`
	SHA384 string `json:"sha384"`
}

// modules are the library's own device modules, working in the folder; only the named ones when names are given.
func (done *effects) modules(only []string) map[string]serviceinfo.DeviceModule {
	temporary := func() (*os.File, error) { return os.CreateTemp(done.folder, ".part-") }
	place := func(name string) string { return filepath.Join(done.folder, filepath.Base(name)) }
	all := map[string]serviceinfo.DeviceModule{
		"fdo.download": &fsim.Download{CreateTemp: temporary, NameToPath: place, ErrorLog: os.Stderr},
		"fdo.upload":   &fsim.Upload{FS: os.DirFS(done.folder)},
		"fdo.wget":     &fsim.Wget{CreateTemp: temporary, NameToPath: place, Timeout: 10 * time.Second},
		"fdo.command":  &fsim.Command{Timeout: 10 * time.Second, Transform: done.note},
	}
	chosen := map[string]serviceinfo.DeviceModule{}
	for name, module := range all {
		if len(only) == 0 || contains(only, name) {
			chosen[name] = &watched{DeviceModule: module, name: name, effects: done}
		}
	}
	return chosen
}

func contains(words []string, word string) bool {
	for _, candidate := range words {
		if candidate == word {
			return true
		}
	}
	return false
}

func (done *effects) note(name string, arguments []string) (string, []string) {
	done.mutex.Lock()
	defer done.mutex.Unlock()
	done.Commands = append(done.Commands, append([]string{name}, arguments...))
	return name, arguments
}

// count lists the folder after the run.
func (done *effects) count() error {
	entries, err := os.ReadDir(done.folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(done.folder, entry.Name()))
		if err != nil {
			return err
		}
		sum := sha512.Sum384(content)
		fact := fileFact{Name: entry.Name(), Size: len(content), SHA384: hex.EncodeToString(sum[:])}
		done.Files = append(done.Files, fact)
	}
	sort.Slice(done.Files, func(i, j int) bool { return done.Files[i].Name < done.Files[j].Name })
	return nil
}

// watched notes which messages a module gets and answers.
type watched struct {
	serviceinfo.DeviceModule
	name    string
	effects *effects
}

func (module *watched) heard(direction, message string) {
	module.effects.mutex.Lock()
	defer module.effects.mutex.Unlock()
	module.effects.Messages = append(module.effects.Messages, direction+" "+module.name+":"+message)
}

// Receive implements serviceinfo.DeviceModule.
func (module *watched) Receive(
	ctx context.Context, message string, body io.Reader, respond func(string) io.Writer, yield func(),
) error {
	module.heard("<", message)
	return module.DeviceModule.Receive(ctx, message, body, module.answering(respond), yield)
}

// Yield implements serviceinfo.DeviceModule.
func (module *watched) Yield(ctx context.Context, respond func(string) io.Writer, yield func()) error {
	return module.DeviceModule.Yield(ctx, module.answering(respond), yield)
}

func (module *watched) answering(respond func(string) io.Writer) func(string) io.Writer {
	return func(message string) io.Writer {
		module.heard(">", message)
		return respond(message)
	}
}
