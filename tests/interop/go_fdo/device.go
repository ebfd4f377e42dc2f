package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/blob"
	"github.com/fido-device-onboard/go-fdo/cbor"
	"github.com/fido-device-onboard/go-fdo/cose"
	"github.com/fido-device-onboard/go-fdo/custom"
	"github.com/fido-device-onboard/go-fdo/kex"
	"github.com/fido-device-onboard/go-fdo/protocol"
	"github.com/fido-device-onboard/go-fdo/serviceinfo"
)

type to1d = cose.Sign1[protocol.To1d, []byte]

// deviceOptions are the flags of every device command; each uses those it needs.
type deviceOptions struct {
	url, key, ask, encoding, serial, info, blob, keys, work, kex, cipher, modules, trace string
	pss, askPSS, askPKCS, reuse                                                          bool
	mtu                                                                                  uint
	timeout                                                                              time.Duration
}

func parseDevice(words []string) (*deviceOptions, error) {
	o := &deviceOptions{}
	flags := flag.NewFlagSet("device", flag.ContinueOnError)
	flags.StringVar(&o.url, "url", "", "server of this step, instead of what the credential or TO1 says")
	flags.StringVar(&o.key, "key", "P-256", "kind of the device key")
	flags.BoolVar(&o.pss, "pss", false, "the RSA device key signs with PSS")
	flags.StringVar(&o.ask, "ask", "", "kind of manufacturer key asked for in DI (default: as the device key)")
	flags.BoolVar(&o.askPSS, "ask-pss", false, "ask for an RSA PSS manufacturer key")
	flags.BoolVar(&o.askPKCS, "ask-pkcs", false, "ask for RSAPKCS where RSA2048RESTR is the default")
	flags.StringVar(&o.encoding, "encoding", "x509", "key encoding asked for in DI: x509, x5chain, cose")
	flags.StringVar(&o.serial, "serial", "go-1", "serial number")
	flags.StringVar(&o.info, "info", "go-fdo device", "device info string")
	flags.StringVar(&o.blob, "blob", "", "file of the credential")
	flags.StringVar(&o.keys, "keys", "", "key folder; without it a fresh key")
	flags.StringVar(&o.work, "work", "", "folder that service info works in (default: a temporary one)")
	flags.StringVar(&o.kex, "kex", "", "key exchange (default: by the kind of key)")
	flags.StringVar(&o.cipher, "cipher", "A128GCM", "cipher suite")
	flags.StringVar(&o.modules, "modules", "", "only these modules, separated by commas")
	flags.StringVar(&o.trace, "trace", "", "file for the transcript")
	flags.BoolVar(&o.reuse, "reuse", false, "allow credential reuse")
	flags.UintVar(&o.mtu, "mtu", 0, "largest service info the device takes (default 1300)")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "limit of one request")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	if o.ask == "" {
		o.ask, o.askPSS = o.key, o.askPSS || o.pss
	}
	return o, nil
}

func (o *deviceOptions) client() *http.Client { return &http.Client{Timeout: o.timeout} }

// saved is the credential file: the library's own blob, and what it does not say about the key.
type saved struct {
	blob.DeviceCredential
	PSS bool
}

func loadBlob(path string) (*saved, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Credential []byte
		PSS        bool
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, err
	}
	credential := &saved{PSS: file.PSS}
	return credential, cbor.Unmarshal(file.Credential, &credential.DeviceCredential)
}

func (credential *saved) store(path string) error {
	content, err := cbor.Marshal(credential.DeviceCredential)
	if err != nil {
		return err
	}
	file, err := json.Marshal(map[string]any{"Credential": content, "PSS": credential.PSS})
	if err != nil {
		return err
	}
	return os.WriteFile(path, file, 0o600)
}

// facts is a credential as printed.
type facts struct {
	GUID       string   `json:"guid"`
	DeviceInfo string   `json:"device_info"`
	KeyHash    string   `json:"key_hash"`
	RvURLs     []string `json:"rv_urls"`
	Bypass     bool     `json:"bypass"`
}

func (credential *saved) facts() facts {
	urls, bypass := credential.targets()
	return facts{
		GUID:       hex.EncodeToString(credential.GUID[:]),
		DeviceInfo: credential.DeviceInfo,
		KeyHash:    credential.PublicKeyHash.Algorithm.String(),
		RvURLs:     urls,
		Bypass:     bypass,
	}
}

// targets are the URLs a device tries; with bypass they are the owner's.
func (credential *saved) targets() (urls []string, bypass bool) {
	for _, directive := range protocol.ParseDeviceRvInfo(credential.RvInfo) {
		for _, url := range directive.URLs {
			urls = append(urls, url.String())
		}
		bypass = bypass || directive.Bypass
	}
	return urls, bypass
}

func runDeviceShow(words []string) (any, error) {
	o, err := parseDevice(words)
	if err != nil {
		return nil, err
	}
	credential, err := loadBlob(o.blob)
	if err != nil {
		return nil, err
	}
	return credential.facts(), nil
}

func runDeviceDI(words []string) (any, error) {
	o, err := parseDevice(words)
	if err != nil {
		return nil, err
	}
	credential, err := deviceInitialize(context.Background(), o, o.client())
	if err != nil {
		return nil, err
	}
	if o.blob != "" {
		if err := credential.store(o.blob); err != nil {
			return nil, err
		}
	}
	return credential.facts(), nil
}

// deviceInitialize runs DI with a device key of the ring, or a fresh one.
func deviceInitialize(ctx context.Context, o *deviceOptions, client *http.Client) (*saved, error) {
	var key crypto.Signer
	var err error
	if o.keys == "" {
		key, err = generate(o.key)
	} else {
		key, _, err = keyring{o.keys}.pair("device", o.key)
	}
	if err != nil {
		return nil, err
	}
	request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: o.serial}}
	if o.pss {
		request.SignatureAlgorithm = x509.SHA256WithRSAPSS
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	credential := &saved{PSS: o.pss}
	credential.Active, credential.HmacSecret, credential.PrivateKey = true, secret, blob.Pkcs8Key{Signer: key}
	hmac256, hmac384 := credential.HMACs()
	encoding, known := encodings[o.encoding]
	if !known {
		return nil, fmt.Errorf("no such encoding: %q", o.encoding)
	}
	given, err := fdo.DI(ctx, newTracer(o.url, client), custom.DeviceMfgInfo{
		KeyType:      typeOf(o.ask, o.askPSS, o.askPKCS),
		KeyEncoding:  encoding,
		SerialNumber: o.serial,
		DeviceInfo:   o.info,
		CertInfo:     cbor.X509CertificateRequest(*csr),
	}, fdo.DIConfig{HmacSha256: hmac256, HmacSha384: hmac384, Key: key, PSS: o.pss})
	if err != nil {
		return nil, err
	}
	credential.DeviceCredential.DeviceCredential = *given
	return credential, nil
}

// redirect is what TO1 found.
type redirect struct {
	URLs []string `json:"to2_urls"`
	blob *to1d
}

func runDeviceTO1(words []string) (any, error) {
	o, err := parseDevice(words)
	if err != nil {
		return nil, err
	}
	credential, err := loadBlob(o.blob)
	if err != nil {
		return nil, err
	}
	return rendezvous(context.Background(), o, credential)
}

// rendezvous runs TO1 against each URL of the credential until one answers; the last error counts.
func rendezvous(ctx context.Context, o *deviceOptions, credential *saved) (*redirect, error) {
	urls, _ := credential.targets()
	if o.url != "" {
		urls = []string{o.url}
	}
	last := errors.New("the credential names no rendezvous server")
	for _, url := range urls {
		options := &fdo.TO1Options{PSS: credential.PSS}
		found, err := fdo.TO1(ctx, newTracer(url, o.client()), credential.DeviceCredential.DeviceCredential, credential.PrivateKey.Signer, options)
		if err != nil {
			last = err
			continue
		}
		answer := &redirect{blob: found}
		for _, address := range found.Payload.Val.RV {
			answer.URLs = append(answer.URLs, addressURLs(address)...)
		}
		return answer, nil
	}
	return nil, last
}

func addressURLs(address protocol.RvTO2Addr) (urls []string) {
	port := ":" + strconv.Itoa(int(address.Port))
	scheme := address.TransportProtocol.String() + "://"
	if address.DNSAddress != nil {
		urls = append(urls, scheme+*address.DNSAddress+port)
	}
	if address.IPAddress != nil {
		urls = append(urls, scheme+address.IPAddress.String()+port)
	}
	return urls
}

// onboarded is the outcome of TO2.
type onboarded struct {
	Reused  bool     `json:"reused"`
	GUID    string   `json:"guid"`
	Via     string   `json:"via"`
	Effects *effects `json:"effects"`
}

func runDeviceTO2(words []string) (any, error) {
	o, err := parseDevice(words)
	if err != nil {
		return nil, err
	}
	credential, err := loadBlob(o.blob)
	if err != nil {
		return nil, err
	}
	return transfer(context.Background(), o, credential, []string{o.url}, nil)
}

// runDeviceOnboard does what a device does when it is switched on: TO1 unless the credential says bypass, then TO2.
func runDeviceOnboard(words []string) (any, error) {
	o, err := parseDevice(words)
	if err != nil {
		return nil, err
	}
	credential, err := loadBlob(o.blob)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if urls, bypass := credential.targets(); bypass {
		return transfer(ctx, o, credential, urls, nil)
	}
	found, err := rendezvous(ctx, o, credential)
	if err != nil {
		return nil, err
	}
	return transfer(ctx, o, credential, found.URLs, found.blob)
}

// transfer runs TO2 at the first URL that works, keeps a new credential, and tells what service info did.
func transfer(ctx context.Context, o *deviceOptions, credential *saved, urls []string, found *to1d) (*onboarded, error) {
	if o.work == "" {
		folder, err := os.MkdirTemp("", "go-fdo-work-")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(folder) }()
		o.work = folder
	}
	var last error
	for _, url := range urls {
		done := &effects{folder: o.work, Messages: []string{}, Commands: [][]string{}, Files: []fileFact{}}
		trace := newTracer(url, o.client())
		config, err := to2Config(o, credential, done)
		if err != nil {
			return nil, err
		}
		fresh, err := fdo.TO2(ctx, trace, found, *config)
		if o.trace != "" {
			if kept := writeJSON(o.trace, transcript{Messages: trace.Messages, SEK: trace.SEK, SVK: trace.SVK}); kept != nil {
				return nil, kept
			}
		}
		if err != nil {
			last = errors.Join(last, fmt.Errorf("%s: %w", url, err))
			continue
		}
		if fresh != nil {
			credential.DeviceCredential.DeviceCredential = *fresh
			if o.blob != "" {
				if err := credential.store(o.blob); err != nil {
					return nil, err
				}
			}
		}
		result := &onboarded{Reused: fresh == nil, GUID: hex.EncodeToString(credential.GUID[:]), Via: url, Effects: done}
		return result, done.count()
	}
	return nil, last
}

func to2Config(o *deviceOptions, credential *saved, done *effects) (*fdo.TO2Config, error) {
	cipher, known := kex.CipherSuiteByName(o.cipher)
	if !known {
		return nil, fmt.Errorf("no such cipher: %q", o.cipher)
	}
	exchange := kex.Suite(o.kex)
	if o.kex == "" {
		kind, err := kindOf(credential.PrivateKey.Public())
		if err != nil {
			return nil, err
		}
		exchange = map[string]kex.Suite{
			"P-256": kex.ECDH256Suite, "P-384": kex.ECDH384Suite,
			"RSA-2048": kex.DHKEXid14Suite, "RSA-3072": kex.DHKEXid15Suite,
		}[kind]
	}
	var only []string
	if o.modules != "" {
		only = strings.Split(o.modules, ",")
	}
	hmac256, hmac384 := credential.HMACs()
	return &fdo.TO2Config{
		Cred:       credential.DeviceCredential.DeviceCredential,
		HmacSha256: hmac256,
		HmacSha384: hmac384,
		Key:        credential.PrivateKey.Signer,
		PSS:        credential.PSS,
		Devmod: serviceinfo.Devmod{
			Os: runtime.GOOS, Arch: runtime.GOARCH, Version: "1", Device: credential.DeviceInfo,
			Serial: []byte(o.serial), PathSep: "/", FileSep: ":", Newline: "\n", Temp: "/tmp", Bin: runtime.GOARCH,
		},
		DeviceModules:             done.modules(only),
		KeyExchange:               exchange,
		CipherSuite:               cipher,
		MaxServiceInfoSizeReceive: uint16(o.mtu),
		AllowCredentialReuse:      o.reuse,
	}, nil
}

func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}
