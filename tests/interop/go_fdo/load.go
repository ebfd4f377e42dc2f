package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	fdo "github.com/fido-device-onboard/go-fdo"
	fdohttp "github.com/fido-device-onboard/go-fdo/http"
)

// loaded is one measurement of a server, from outside.
type loaded struct {
	Devices   int     `json:"devices"`
	Done      int     `json:"to2"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P95       float64 `json:"p95_ms"`
	P99       float64 `json:"p99_ms"`
	Errors    int     `json:"errors"`
	LastError string  `json:"last_error,omitempty"`
}

// runLoad has two halves, so that a bench may read CPU counters between them: -prepare does DI for every device and
// one TO2 each, which must reuse the credential; without it the same devices loop TO2 for a time.
func runLoad(words []string) (any, error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	o := &deviceOptions{encoding: "x509", info: "load", cipher: "A128GCM", reuse: true, timeout: 30 * time.Second}
	flags.StringVar(&o.key, "key", "P-256", "kind of key")
	flags.StringVar(&o.keys, "keys", "", "key folder")
	flags.StringVar(&o.url, "di", "", "URL for DI (with -prepare)")
	owner := flags.String("owner", "", "URL for TO2")
	devices := flags.Int("devices", 16, "how many devices")
	workers := flags.Int("workers", 4, "TO2 runs at once")
	lasting := flags.Duration("seconds", 5*time.Second, "how long to loop")
	state := flags.String("state", "", "folder of the credentials")
	prepare := flags.Bool("prepare", false, "DI and one TO2 each")
	patience := flags.Duration("patience", 20*time.Second, "how long the first TO2 of a device may fail")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	o.ask = o.key
	client := &http.Client{Timeout: o.timeout, Transport: &http.Transport{MaxIdleConnsPerHost: *workers}}
	if *prepare {
		return nil, prepareLoad(o, client, *owner, *state, *devices, *patience)
	}
	fleet := make([]*saved, *devices)
	for number := range fleet {
		credential, err := loadBlob(credentialPath(*state, number))
		if err != nil {
			return nil, err
		}
		fleet[number] = credential
	}
	return loop(o, client, *owner, fleet, *workers, *lasting), nil
}

func credentialPath(folder string, number int) string {
	return filepath.Join(folder, fmt.Sprintf("device-%d.json", number))
}

func prepareLoad(o *deviceOptions, client *http.Client, owner, state string, devices int, patience time.Duration) error {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	for number := range devices {
		o.serial = fmt.Sprintf("load-%d", number)
		credential, err := deviceInitialize(context.Background(), o, client)
		if err != nil {
			return fmt.Errorf("DI of device %d: %w", number, err)
		}
		until := time.Now().Add(patience)
		for err = once(o, client, owner, credential); err != nil; err = once(o, client, owner, credential) {
			if time.Now().After(until) {
				return fmt.Errorf("first TO2 of device %d: %w", number, err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if err := credential.store(credentialPath(state, number)); err != nil {
			return err
		}
	}
	print1(map[string]int{"devices": devices})
	return nil
}

// once is a whole TO2 that must leave the credential as it is.
func once(o *deviceOptions, client *http.Client, owner string, credential *saved) error {
	config, err := to2Config(o, credential, &effects{})
	if err != nil {
		return err
	}
	transport := &fdohttp.Transport{BaseURL: owner, Client: client}
	fresh, err := fdo.TO2(context.Background(), transport, nil, *config)
	if err == nil && fresh != nil {
		return fmt.Errorf("the server replaced the credential: reuse is off")
	}
	return err
}

// loop lets workers share out the devices, each device in one run at a time.
func loop(o *deviceOptions, client *http.Client, owner string, fleet []*saved, workers int, lasting time.Duration) *loaded {
	result := &loaded{Devices: len(fleet)}
	var mutex sync.Mutex
	var times []time.Duration
	var group sync.WaitGroup
	began := time.Now()
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for turn := worker; time.Since(began) < lasting; turn += workers {
				start := time.Now()
				err := once(o, client, owner, fleet[turn%len(fleet)])
				spent := time.Since(start)
				mutex.Lock()
				if err != nil {
					result.Errors++
					result.LastError = err.Error()
				} else {
					times = append(times, spent)
				}
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	result.Seconds = time.Since(began).Seconds()
	result.Done = len(times)
	result.PerSecond = float64(len(times)) / result.Seconds
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	result.P50, result.P95, result.P99 = rank(times, 0.50), rank(times, 0.95), rank(times, 0.99)
	return result
}

// rank is a percentile in milliseconds.
func rank(times []time.Duration, part float64) float64 {
	if len(times) == 0 {
		return 0
	}
	return float64(times[int(part*float64(len(times)-1))].Microseconds()) / 1000
}
