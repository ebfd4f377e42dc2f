package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/custom"
	"github.com/fido-device-onboard/go-fdo/fdotest"
	fdohttp "github.com/fido-device-onboard/go-fdo/http"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

// bothKeys is the part of the library's own state that signs in the factory and for the owner.
type bothKeys interface {
	ManufacturerKey(context.Context, protocol.KeyType, int) (crypto.Signer, []*x509.Certificate, error)
	OwnerKey(context.Context, protocol.KeyType, int) (crypto.Signer, []*x509.Certificate, error)
}

// runOwnState serves DI and TO2 with the library's own in-memory state and stateless tokens, for the bench. They are
// internal to the library; its test suite gives them to whoever brings a transport, and this transport serves HTTP.
func runOwnState(words []string) (any, error) {
	flags := flag.NewFlagSet("server-own-state", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address")
	tied := flags.Bool("tied", false, "end when standard input does")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	if *tied {
		go endWithParent()
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return nil, err
	}
	print1(map[string]any{"url": "http://" + listener.Addr().String(), "pid": os.Getpid()})
	os.Args = []string{os.Args[0], "-test.timeout=0"}
	serve := func(t *testing.T) {
		fdotest.RunClientTestSuite(t, fdotest.Config{
			Reuse:   true,
			NoDebug: true,
			NewTransport: func(
				_ *testing.T, tokens protocol.TokenService, di, to0, to1, to2 protocol.Responder,
			) fdo.Transport {
				extendInDI(di.(*fdo.DIServer[custom.DeviceMfgInfo]), to2.(*fdo.TO2Server), listener)
				web := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: fdohttp.Handler{
					Tokens: tokens, DIResponder: di, TO0Responder: to0, TO1Responder: to1, TO2Responder: to2,
				}}
				if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					panic(err)
				}
				return nil
			},
		})
	}
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "serve", F: serve}}, nil, nil)
	return nil, nil
}

// extendInDI makes vouchers ready for TO2: the suite would extend them by hand.
func extendInDI(di *fdo.DIServer[custom.DeviceMfgInfo], to2 *fdo.TO2Server, listener net.Listener) {
	di.BeforeVoucherPersist = fdo.AllInOne{DIAndOwner: to2.OwnerKeys.(bothKeys)}.Extend
	di.RvInfo = func(context.Context, *fdo.Voucher) ([][]protocol.RvInstruction, error) {
		return rvInfoFor("http://"+listener.Addr().String(), "dns", true)
	}
}
