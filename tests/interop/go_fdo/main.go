// Command go_fdo is the foreign peer of Onward's FDO tests: a device, all servers, a TO0 client, a voucher maker and
// a load generator, each a thin program around the go-fdo library. It prints one JSON object per run.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/fido-device-onboard/go-fdo/protocol"
)

// commands maps the words of the command line to what runs; each returns the value that is printed.
var commands = map[string]func([]string) (any, error){
	"keys":           runKeys,
	"device di":      runDeviceDI,
	"device to1":     runDeviceTO1,
	"device to2":     runDeviceTO2,
	"device onboard": runDeviceOnboard,
	"device show":    runDeviceShow,
	"server":         runServer,
	"own-state":      runOwnState,
	"to0":            runTO0,
	"voucher make":   runVoucherMake,
	"voucher extend": runVoucherExtend,
	"voucher check":  runVoucherCheck,
	"load":           runLoad,
	"vectors":        runVectors,
}

// failure is what a run prints instead of its result, with the peer's message 255 when one came.
type failure struct {
	Error string  `json:"error"`
	Code  *uint16 `json:"code,omitempty"`
	After *uint8  `json:"after,omitempty"`
	Text  string  `json:"text,omitempty"`
}

func main() {
	level := slog.LevelError
	if os.Getenv("GO_FDO_DEBUG") != "" {
		level = slog.LevelDebug
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	run, rest := find(os.Args[1:])
	if run == nil {
		fmt.Fprintln(os.Stderr, "usage: go_fdo keys | device di|to1|to2|onboard|show | server | own-state | to0 | voucher make|extend|check | load | vectors")
		os.Exit(2)
	}
	result, err := run(rest)
	if err != nil {
		print1(explain(err))
		os.Exit(1)
	}
	if result != nil {
		print1(result)
	}
}

// find takes the longest command, two words before one.
func find(words []string) (func([]string) (any, error), []string) {
	for size := min(2, len(words)); size > 0; size-- {
		if run, known := commands[strings.Join(words[:size], " ")]; known {
			return run, words[size:]
		}
	}
	return nil, nil
}

func explain(err error) failure {
	told := failure{Error: err.Error()}
	var message protocol.ErrorMessage
	if errors.As(err, &message) {
		told.Code, told.After, told.Text = &message.Code, &message.PrevMsgType, message.ErrString
	}
	return told
}

func print1(value any) {
	printer := json.NewEncoder(os.Stdout)
	printer.SetEscapeHTML(false)
	if err := printer.Encode(value); err != nil {
		panic(err)
	}
}
