package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/cbor"
	"github.com/fido-device-onboard/go-fdo/custom"
	fdohttp "github.com/fido-device-onboard/go-fdo/http"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

// policy is what a test may set while the server runs.
type policy struct {
	Plan    []planItem `json:"plan"`
	Reuse   bool       `json:"reuse"`
	Entries int        `json:"entries"`  // extensions of a voucher made by DI; the last one is to the owner
	Bypass  bool       `json:"bypass"`   // RVInfo of DI points straight at the owner
	Address string     `json:"address"`  // how addresses are written: dns, ip4, ip16
	RV      string     `json:"rv"`       // rendezvous server for new vouchers (default: this server)
	Auto    bool       `json:"auto_to0"` // register at it right after DI
	MTU     uint16     `json:"mtu"`      // largest service info a device may send
	TTL     uint32     `json:"ttl"`      // longest lease that the rendezvous grants
	Refuse  bool       `json:"refuse"`   // the rendezvous takes no voucher
}

// told is the owner, and keeps what devices say in message 255.
type told struct {
	*fdo.TO2Server
	peer *peer
}

// HandleError implements protocol.Responder.
func (owner *told) HandleError(ctx context.Context, message protocol.ErrorMessage) {
	owner.peer.rules.Lock()
	owner.peer.errors = append(owner.peer.errors, message.Code)
	owner.peer.rules.Unlock()
	owner.TO2Server.HandleError(ctx, message)
}

// peer is every server role in one process.
type peer struct {
	*store
	*sessions
	errors []uint16
	plan   *planner
	rules  sync.RWMutex
	policy policy
	url    string
}

func newPeer(ring keyring, url string) *peer {
	all := newSessions()
	return &peer{
		store: newStore(ring), sessions: all, plan: newPlanner(all), url: url,
		policy: policy{Entries: 1, Address: "dns", Auto: true},
	}
}

func (server *peer) ruled() policy {
	server.rules.RLock()
	defer server.rules.RUnlock()
	return server.policy
}

// runServer serves until it is told to stop; the first line it prints is where.
func runServer(words []string) (any, error) {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	keys := flags.String("keys", "", "key folder")
	listen := flags.String("listen", "127.0.0.1:0", "address")
	start := flags.String("policy", "", "policy as JSON")
	tied := flags.Bool("tied", false, "end when standard input does: with the parent, however it ends")
	role := flags.String("owner", "owner", "role of the ring's keys that own here: owner or owner2")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return nil, err
	}
	server := newPeer(keyring{*keys}, "http://"+listener.Addr().String())
	server.store.role = *role
	if *start != "" {
		if err := server.setPolicy([]byte(*start)); err != nil {
			return nil, err
		}
	}
	web := &http.Server{Handler: server.routes(), ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stopped
		_ = web.Close()
	}()
	if *tied {
		go endWithParent()
	}
	print1(map[string]any{"url": server.url, "pid": os.Getpid()})
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return nil, err
	}
	return nil, nil
}

// endWithParent ends the process when nobody holds the other end of its standard input any more.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func (server *peer) setPolicy(content []byte) error {
	server.rules.Lock()
	defer server.rules.Unlock()
	before := server.policy.Plan
	server.policy.Plan = nil // a fresh slice: runs under way keep theirs
	if err := json.Unmarshal(content, &server.policy); err != nil {
		return err
	}
	if server.policy.Plan == nil {
		server.policy.Plan = before
	}
	server.plan.mutex.Lock()
	defer server.plan.mutex.Unlock()
	server.plan.items = server.policy.Plan
	return nil
}

func (server *peer) routes() http.Handler {
	routes := http.NewServeMux()
	routes.Handle("POST /fdo/101/msg/{number}", fdohttp.Handler{
		Tokens:      server.sessions,
		DIResponder: server.manufacturer(),
		TO0Responder: &fdo.TO0Server{
			Session: server.sessions, RVBlobs: server.store, AcceptVoucher: server.accept,
		},
		TO1Responder: &fdo.TO1Server{Session: server.sessions, RVBlobs: server.store},
		TO2Responder: &told{TO2Server: server.owner(), peer: server},
	})
	server.control(routes)
	return routes
}

func (server *peer) owner() *fdo.TO2Server {
	return &fdo.TO2Server{
		Session:              server.sessions,
		Modules:              server.plan,
		Vouchers:             server.store,
		OwnerKeys:            server.store,
		VouchersForExtension: server.store,
		RvInfo: func(context.Context, fdo.Voucher) ([][]protocol.RvInstruction, error) {
			return server.rvInfo()
		},
		ReuseCredential: func(context.Context, fdo.Voucher) (bool, error) { return server.ruled().Reuse, nil },
		MaxDeviceServiceInfoSize: func(context.Context, fdo.Voucher) (uint16, error) {
			return max(server.ruled().MTU, 1300), nil
		},
	}
}

func (server *peer) manufacturer() *fdo.DIServer[custom.DeviceMfgInfo] {
	return &fdo.DIServer[custom.DeviceMfgInfo]{
		Session:               server.sessions,
		Vouchers:              server.store,
		SignDeviceCertificate: server.signDevice,
		DeviceInfo:            server.deviceInfo,
		BeforeVoucherPersist: func(_ context.Context, voucher *fdo.Voucher) error {
			extended, err := extendTimes(server.ring, voucher, server.ruled().Entries, server.role)
			if err == nil {
				*voucher = *extended
			}
			return err
		},
		AfterVoucherPersist: func(ctx context.Context, voucher fdo.Voucher) error {
			if rules := server.ruled(); !rules.Auto || rules.Bypass {
				return nil
			}
			_, err := server.register(ctx, voucher.Header.Val.GUID)
			return err
		},
		RvInfo: func(context.Context, *fdo.Voucher) ([][]protocol.RvInstruction, error) { return server.rvInfo() },
	}
}

func (server *peer) signDevice(info *custom.DeviceMfgInfo) ([]*x509.Certificate, error) {
	key, chain, err := server.ring.pair("device-ca", "P-384")
	if err != nil {
		return nil, err
	}
	return custom.SignDeviceCertificate(key, chain)(info)
}

// deviceInfo chooses the manufacturer key: the type asked for, sized like the device's own key.
func (server *peer) deviceInfo(
	_ context.Context, info *custom.DeviceMfgInfo, chain []*x509.Certificate,
) (string, protocol.PublicKey, error) {
	bits := 2048
	if kind, err := kindOf(chain[0].PublicKey); err == nil && kind == "RSA-3072" {
		bits = 3072
	}
	signer, certificates, err := server.ring.pair("manufacturer", kindFor(info.KeyType, bits))
	if err != nil {
		return "", protocol.PublicKey{}, err
	}
	key, err := publicKey(info.KeyType, info.KeyEncoding, signer.Public(), certificates)
	if err != nil {
		return "", protocol.PublicKey{}, err
	}
	return info.DeviceInfo, *key, nil
}

func (server *peer) accept(_ context.Context, _ fdo.Voucher, asked uint32) (uint32, error) {
	rules := server.ruled()
	if rules.Refuse {
		return 0, nil
	}
	if rules.TTL > 0 {
		return min(asked, rules.TTL), nil
	}
	return asked, nil
}

// rvInfo is one directive, to the rendezvous server or, with bypass, to the owner itself.
func (server *peer) rvInfo() ([][]protocol.RvInstruction, error) {
	rules := server.ruled()
	target := rules.RV
	if target == "" || rules.Bypass {
		target = server.url
	}
	return rvInfoFor(target, rules.Address, rules.Bypass)
}

func rvInfoFor(target, form string, bypass bool) ([][]protocol.RvInstruction, error) {
	host, port, err := hostPort(target)
	if err != nil {
		return nil, err
	}
	directive := []protocol.RvInstruction{}
	add := func(variable protocol.RvVar, value any) {
		content, problem := cbor.Marshal(value)
		if problem != nil {
			err = problem
		}
		directive = append(directive, protocol.RvInstruction{Variable: variable, Value: content})
	}
	switch form {
	case "ip4":
		add(protocol.RVIPAddress, net.ParseIP(host).To4())
	case "ip16":
		add(protocol.RVIPAddress, net.ParseIP(host).To16())
	default:
		add(protocol.RVDns, host)
	}
	add(protocol.RVDevPort, port)
	add(protocol.RVOwnerPort, port)
	add(protocol.RVProtocol, protocol.RVProtHTTP)
	if bypass {
		directive = append(directive, protocol.RvInstruction{Variable: protocol.RVBypass})
	}
	return [][]protocol.RvInstruction{directive}, err
}

func hostPort(target string) (string, uint16, error) {
	address, err := url.Parse(target)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(address.Port(), 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("no port in %q", target)
	}
	return address.Hostname(), uint16(port), nil
}

// address is the owner's own address as TO0 registers it.
func ownerAddress(target, form string) (protocol.RvTO2Addr, error) {
	host, port, err := hostPort(target)
	address := protocol.RvTO2Addr{Port: port, TransportProtocol: protocol.HTTPTransport}
	ip := net.ParseIP(host)
	switch form {
	case "ip4":
		ip = ip.To4()
		address.IPAddress = &ip
	case "ip16":
		ip = ip.To16()
		address.IPAddress = &ip
	default:
		address.DNSAddress = &host
	}
	return address, err
}

// register is TO0 of this server's owner at the rendezvous server of the policy.
func (server *peer) register(ctx context.Context, guid protocol.GUID) (uint32, error) {
	rules := server.ruled()
	target := rules.RV
	if target == "" {
		target = server.url
	}
	address, err := ownerAddress(server.url, rules.Address)
	if err != nil {
		return 0, err
	}
	client := &fdo.TO0Client{Vouchers: server.store, OwnerKeys: server.store, TTL: 3600}
	transport := &fdohttp.Transport{BaseURL: target, Client: &http.Client{Timeout: 10 * time.Second}}
	return client.RegisterBlob(ctx, transport, guid, []protocol.RvTO2Addr{address})
}

// extendTimes walks a voucher from the manufacturer over middlemen to the owner.
func extendTimes(ring keyring, voucher *fdo.Voucher, times int, owner string) (*fdo.Voucher, error) {
	public, err := voucher.Header.Val.ManufacturerKey.Public()
	if err != nil {
		return nil, err
	}
	kind, err := kindOf(public)
	if err != nil {
		return nil, err
	}
	middle := []string{"middle-a", "middle-b"}
	holder := "manufacturer"
	for number := range times {
		next := middle[number%2]
		if number == times-1 {
			next = owner
		}
		signer, _, err := ring.pair(holder, kind)
		if err != nil {
			return nil, err
		}
		heir, chain, err := ring.pair(next, kind)
		if err != nil {
			return nil, err
		}
		if voucher, err = extendOnce(voucher, signer, heir.Public(), chain); err != nil {
			return nil, err
		}
		holder = next
	}
	return voucher, nil
}

// extendOnce keeps the encoding of the manufacturer key, as the specification asks.
func extendOnce(
	voucher *fdo.Voucher, signer crypto.Signer, next crypto.PublicKey, chain []*x509.Certificate,
) (*fdo.Voucher, error) {
	if voucher.Header.Val.ManufacturerKey.Encoding == protocol.X5ChainKeyEnc && len(chain) > 0 {
		return fdo.ExtendVoucher(voucher, signer, chain, nil)
	}
	return extendToKey(voucher, signer, next)
}
