package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/cbor"
	"github.com/fido-device-onboard/go-fdo/kex"
)

// transcript is one TO2 as both sides saw it.
type transcript struct {
	Name       string   `json:"name,omitempty"`
	Kind       string   `json:"key,omitempty"`
	Exchange   string   `json:"kex,omitempty"`
	Cipher     string   `json:"cipher,omitempty"`
	Voucher    string   `json:"voucher,omitempty"`
	HmacSecret string   `json:"hmac_secret,omitempty"`
	KeyHash    string   `json:"manufacturer_key_hash,omitempty"`
	OwnerKey   string   `json:"owner_key,omitempty"`
	DeviceKey  string   `json:"device_key,omitempty"`
	OwnerSide  string   `json:"owner_exchange_state,omitempty"`
	SEK        string   `json:"sek"`
	SVK        string   `json:"svk"`
	Messages   []traced `json:"messages"`
}

// runVectors writes the files of tests/vectors/fdo: vouchers and transcripts.
func runVectors(words []string) (any, error) {
	flags := flag.NewFlagSet("vectors", flag.ContinueOnError)
	out := flags.String("out", "", "folder")
	keys := flags.String("keys", "", "key folder")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	ring := keyring{*keys}
	makers := map[string]func(keyring) (any, error){
		"vouchers": voucherVectors, "transcripts": transcriptVectors,
	}
	for name, maker := range makers {
		content, err := maker(ring)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		file := map[string]any{"source": source(), name: content}
		if err := writeJSON(filepath.Join(*out, name+".json"), file); err != nil {
			return nil, err
		}
	}
	return map[string]string{"source": source()}, nil
}

// source names the library by the version that was linked.
func source() string {
	if info, known := debug.ReadBuildInfo(); known {
		for _, module := range info.Deps {
			if module.Path == "github.com/fido-device-onboard/go-fdo" {
				return "made by " + module.Path + " " + module.Version + " through tests/interop/go_fdo (go_fdo vectors)"
			}
		}
	}
	return "made by an unknown version of go-fdo"
}

func voucherVectors(ring keyring) (any, error) {
	type variant struct {
		name, kind, device string
		pss, pkcs          bool
	}
	variants := []variant{
		{"P-256", "P-256", "P-256", false, false},
		{"P-384", "P-384", "P-384", false, false},
		{"P-256 owner, P-384 device", "P-256", "P-384", false, false},
		{"RSA2048RESTR", "RSA-2048", "RSA-2048", false, false},
		{"RSAPKCS 2048", "RSA-2048", "P-256", false, true},
		{"RSAPKCS 3072", "RSA-3072", "P-384", false, false},
		{"RSAPSS 2048", "RSA-2048", "RSA-2048", true, false},
		{"RSAPSS 3072", "RSA-3072", "RSA-3072", true, false},
	}
	made := []map[string]any{}
	for _, variant := range variants {
		for _, encoding := range []string{"x509", "x5chain", "cose"} {
			if encoding == "cose" && strings.HasPrefix(variant.kind, "RSA") {
				continue // the library has no COSE form of RSA keys
			}
			for _, entries := range []int{0, 1, 3, 10} {
				if (entries == 10 || entries == 0) && encoding != "x509" {
					continue
				}
				voucher, device, err := recipe{
					ring: ring, kind: variant.kind, device: variant.device, pss: variant.pss, pkcs: variant.pkcs,
					encoding: encoding, info: "vector", serial: "vector-1", rv: "http://rv.example.org:8041", entries: entries,
				}.cook()
				if err != nil {
					return nil, fmt.Errorf("%s %s %d: %w", variant.name, encoding, entries, err)
				}
				content, err := cbor.Marshal(voucher)
				if err != nil {
					return nil, err
				}
				owner, err := voucher.OwnerPublicKey()
				if err != nil {
					return nil, err
				}
				public, err := x509.MarshalPKIXPublicKey(owner)
				if err != nil {
					return nil, err
				}
				made = append(made, map[string]any{
					"name": fmt.Sprintf("%s, %s, %d entries", variant.name, encoding, entries),
					"key":  variant.name, "encoding": encoding, "entries": entries,
					"guid": hex.EncodeToString(device.GUID[:]), "device_info": device.DeviceInfo,
					"owner_key": hex.EncodeToString(public), "hmac_secret": hex.EncodeToString(device.HmacSecret),
					"manufacturer_key_hash": hex.EncodeToString(device.PublicKeyHash.Value),
					"voucher":               hex.EncodeToString(content),
				})
			}
		}
	}
	return made, nil
}

// secretOf is the owner's private parameter as the library persists it: ECDH key or DH exponent; none for ASYMKEX.
func secretOf(suite kex.Suite, state []byte) (string, error) {
	switch suite {
	case kex.ECDH256Suite, kex.ECDH384Suite:
		var kept struct {
			RandSize            int
			ParamA, ParamB, Key []byte
			Cipher              int64
			SEK, SVK            []byte
		}
		err := cbor.Unmarshal(state, &kept)
		return hex.EncodeToString(kept.Key), err
	case kex.DHKEXid14Suite, kex.DHKEXid15Suite:
		var kept struct {
			Prime                            []byte
			Generator, ParamSize             int
			ParamA, ParamXA, ParamB, ParamXB []byte
			Cipher                           int64
			SEK, SVK                         []byte
		}
		err := cbor.Unmarshal(state, &kept)
		return hex.EncodeToString(kept.ParamA), err
	}
	return "", nil
}

func privatePEM(ring keyring, role, kind string) (string, error) {
	signer, _, err := ring.pair(role, kind)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
}

func transcriptVectors(ring keyring) (any, error) {
	cases := []transcript{
		{Name: "new credential, one entry", Kind: "P-256", Exchange: "ECDH256", Cipher: "A128GCM"},
		{Name: "new credential, three entries", Kind: "P-384", Exchange: "ECDH384", Cipher: "A256GCM"},
		{Name: "credential reuse", Kind: "P-256", Exchange: "ECDH256", Cipher: "COSEAES128CTR"},
		{Name: "encrypt then MAC", Kind: "P-384", Exchange: "ECDH384", Cipher: "COSEAES256CBC"},
		{Name: "Diffie-Hellman", Kind: "RSA-2048", Exchange: "DHKEXid14", Cipher: "A128GCM"},
		{Name: "asymmetric", Kind: "RSA-3072", Exchange: "ASYMKEX3072", Cipher: "COSEAES256CTR"},
	}
	for number := range cases {
		if err := record(ring, &cases[number]); err != nil {
			return nil, fmt.Errorf("%s: %w", cases[number].Name, err)
		}
	}
	return cases, nil
}

// record serves one device in this process and keeps what both sides knew.
func record(ring keyring, made *transcript) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := newPeer(ring, "http://"+listener.Addr().String())
	server.policy.Reuse = made.Name == "credential reuse"
	server.plan.items = []planItem{{Module: "download", Name: "hello.txt", Content: []byte("hello\n")}}
	var states [][]byte
	server.sessions.exchanged = func(_ kex.Suite, state []byte) { states = append(states, bytes.Clone(state)) }
	web := &http.Server{Handler: server.routes()}
	go func() { _ = web.Serve(listener) }()
	defer func() { _ = web.Close() }()

	entries := 1
	if made.Name == "new credential, three entries" {
		entries = 3
	}
	voucher, device, err := recipe{
		ring: ring, kind: made.Kind, encoding: "x509", info: "vector", serial: "vector-1",
		rv: "http://rv.example.org:8041", entries: entries,
	}.cook()
	if err != nil {
		return err
	}
	if err := server.AddVoucher(context.Background(), voucher); err != nil {
		return err
	}
	if err := made.describe(ring, voucher, device); err != nil {
		return err
	}
	trace := newTracer(server.url, &http.Client{})
	folder, err := os.MkdirTemp("", "go-fdo-work-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	done := &effects{folder: folder}
	o := &deviceOptions{kex: made.Exchange, cipher: made.Cipher, reuse: true, serial: "vector-1"}
	config, err := to2Config(o, device, done)
	if err != nil {
		return err
	}
	if _, err := fdo.TO2(context.Background(), trace, nil, *config); err != nil {
		return err
	}
	made.Messages, made.SEK, made.SVK = trace.Messages, trace.SEK, trace.SVK
	if len(states) == 0 {
		return io.ErrUnexpectedEOF
	}
	made.OwnerSide, err = secretOf(kex.Suite(made.Exchange), states[0])
	return err
}

func (made *transcript) describe(ring keyring, voucher *fdo.Voucher, device *saved) error {
	content, err := cbor.Marshal(voucher)
	if err != nil {
		return err
	}
	made.Voucher, made.HmacSecret = hex.EncodeToString(content), hex.EncodeToString(device.HmacSecret)
	made.KeyHash = hex.EncodeToString(device.PublicKeyHash.Value)
	if made.OwnerKey, err = privatePEM(ring, "owner", made.Kind); err != nil {
		return err
	}
	made.DeviceKey, err = privatePEM(ring, "device", made.Kind)
	return err
}
