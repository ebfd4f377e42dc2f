package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/fsim"
	"github.com/fido-device-onboard/go-fdo/serviceinfo"
)

// planItem is one service info module to run, as given in JSON.
type planItem struct {
	Module  string   `json:"module"` // download, upload, command, wget
	Name    string   `json:"name"`
	Content []byte   `json:"content"` // base64
	Command string   `json:"command"`
	Args    []string `json:"args"`
	Stdout  bool     `json:"stdout"`
	Stderr  bool     `json:"stderr"`
	MayFail bool     `json:"may_fail"`
	URL     string   `json:"url"`
	SHA384  string   `json:"sha384"`
}

// planResult is what came back, kept under the GUID that the device had when it began.
type planResult struct {
	Module   string `json:"module"`
	Name     string `json:"name"`
	Done     bool   `json:"done"`
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
	ExitCode *int   `json:"exit_code"`
	Uploaded []byte `json:"uploaded"`
}

// planRun walks one device through the plan.
type planRun struct {
	items   []planItem
	next    int
	current serviceinfo.OwnerModule
	name    string
	results []*planResult
	stdout  bytes.Buffer
	stderr  bytes.Buffer
	exit    chan int
	folder  string
}

// planner implements serviceinfo.ModuleStateMachine over the sessions.
type planner struct {
	*sessions
	mutex   sync.Mutex
	items   []planItem
	results map[string][]*planResult
	devmods map[string]map[string]any
}

func newPlanner(all *sessions) *planner {
	return &planner{sessions: all, results: map[string][]*planResult{}, devmods: map[string]map[string]any{}}
}

// Module implements serviceinfo.ModuleStateMachine.
func (plan *planner) Module(ctx context.Context) (string, serviceinfo.OwnerModule, error) {
	found, err := plan.of(ctx)
	if err != nil {
		return "", nil, err
	}
	if found.plan == nil || found.plan.current == nil {
		return "", nil, errors.New("no module is running")
	}
	return found.plan.name, found.plan.current, nil
}

// NextModule implements serviceinfo.ModuleStateMachine.
func (plan *planner) NextModule(ctx context.Context) (bool, error) {
	found, err := plan.of(ctx)
	if err != nil {
		return false, err
	}
	if found.plan == nil {
		if err := plan.begin(found); err != nil {
			return false, err
		}
	}
	run := found.plan
	if err := run.finish(); err != nil {
		return false, err
	}
	if run.next >= len(run.items) {
		return false, nil
	}
	return true, run.start()
}

// begin gives a session its own copy of the plan, and notes what devmod said.
func (plan *planner) begin(found *session) error {
	plan.mutex.Lock()
	defer plan.mutex.Unlock()
	found.plan = &planRun{items: plan.items}
	guid := hex.EncodeToString(found.guid[:])
	for _, item := range plan.items {
		found.plan.results = append(found.plan.results, &planResult{Module: item.Module, Name: item.Name})
	}
	plan.results[guid] = found.plan.results
	plan.devmods[guid] = map[string]any{
		"os": found.devmod.Os, "arch": found.devmod.Arch, "version": found.devmod.Version,
		"device": found.devmod.Device, "serial": string(found.devmod.Serial), "modules": found.modules,
	}
	if len(plan.items) == 0 {
		return nil
	}
	folder, err := os.MkdirTemp("", "go-fdo-owner-")
	found.plan.folder = folder
	return err
}

// start makes the library's owner module for the next item.
func (run *planRun) start() error {
	item := run.items[run.next]
	run.name = "fdo." + item.Module
	run.next++
	switch item.Module {
	case "download":
		run.current = &fsim.DownloadContents[*bytes.Reader]{
			Name: item.Name, Contents: bytes.NewReader(item.Content), MustDownload: true,
		}
	case "upload":
		temporary := func() (*os.File, error) { return os.CreateTemp(run.folder, "part-") }
		run.current = &fsim.UploadRequest{Dir: run.folder, Name: item.Name, CreateTemp: temporary}
	case "command":
		run.stdout.Reset()
		run.stderr.Reset()
		run.exit = make(chan int, 1)
		command := &fsim.RunCommand{Command: item.Command, Args: item.Args, MayFail: item.MayFail, ExitChan: run.exit}
		if item.Stdout {
			command.Stdout = &run.stdout
		}
		if item.Stderr {
			command.Stderr = &run.stderr
		}
		run.current = command
	case "wget":
		return run.startWget(item)
	default:
		return fmt.Errorf("no such module: %q", item.Module)
	}
	return nil
}

func (run *planRun) startWget(item planItem) error {
	address, err := url.Parse(item.URL)
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(item.SHA384)
	if err != nil {
		return err
	}
	run.current = &fsim.WgetCommand{Name: item.Name, URL: address, Checksum: sum}
	return nil
}

// finish takes the result of the module that has just completed.
func (run *planRun) finish() error {
	if run.next == 0 {
		return nil
	}
	item, result := run.items[run.next-1], run.results[run.next-1]
	result.Done = true
	switch item.Module {
	case "command":
		result.Stdout, result.Stderr = run.stdout.String(), run.stderr.String()
		if code, sent := <-run.exit; sent {
			result.ExitCode = &code
		}
	case "upload":
		content, err := os.ReadFile(filepath.Join(run.folder, filepath.Base(item.Name)))
		if err != nil {
			return err
		}
		result.Uploaded = content
	}
	return nil
}

// CleanupModules implements serviceinfo.ModuleStateMachine.
func (plan *planner) CleanupModules(ctx context.Context) {
	found, err := plan.of(ctx)
	if err == nil && found.plan != nil && strings.Contains(found.plan.folder, "go-fdo-owner-") {
		_ = os.RemoveAll(found.plan.folder)
	}
}

var _ serviceinfo.ModuleStateMachine = (*planner)(nil)
var _ fdo.TO2SessionState = (*sessions)(nil)
