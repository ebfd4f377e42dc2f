package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net/http"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/cbor"
	fdohttp "github.com/fido-device-onboard/go-fdo/http"
	"github.com/fido-device-onboard/go-fdo/kex"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

// traced is one message of a transcript: as it crossed the wire, and in clear when it was encrypted.
type traced struct {
	Number uint8  `json:"number"`
	Wire   string `json:"wire"`
	Clear  string `json:"clear,omitempty"`
}

// tracer is a transport that keeps every message, and the session keys once there are some.
type tracer struct {
	fdohttp.Transport
	Messages []traced
	SEK, SVK string
	wire     [2][]byte
}

func newTracer(url string, client *http.Client) *tracer {
	trace := &tracer{}
	inner := client.Transport
	if inner == nil {
		inner = http.DefaultTransport
	}
	trace.Transport = fdohttp.Transport{BaseURL: url, Client: &http.Client{
		Timeout:   client.Timeout,
		Transport: roundTrip(func(request *http.Request) (*http.Response, error) { return trace.pass(inner, request) }),
	}}
	return trace
}

type roundTrip func(*http.Request) (*http.Response, error)

func (trip roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return trip(request) }

func (trace *tracer) pass(inner http.RoundTripper, request *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	request.Body = io.NopCloser(bytes.NewReader(sent))
	response, err := inner.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	received, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(received))
	trace.wire = [2][]byte{sent, received}
	return response, err
}

// Send implements fdo.Transport.
func (trace *tracer) Send(
	ctx context.Context, number uint8, message any, session kex.Session,
) (uint8, io.ReadCloser, error) {
	clear, err := cbor.Marshal(message)
	if err != nil {
		return 0, nil, err
	}
	answer, body, err := trace.Transport.Send(ctx, number, message, session)
	if err != nil {
		return answer, body, err
	}
	plain, err := io.ReadAll(body)
	_ = body.Close()
	if err != nil {
		return answer, nil, err
	}
	trace.keep(number, trace.wire[0], clear)
	trace.keep(answer, trace.wire[1], plain)
	if crypter := crypterOf(session); crypter != nil {
		trace.SEK, trace.SVK = hex.EncodeToString(crypter.SEK), hex.EncodeToString(crypter.SVK)
	}
	return answer, io.NopCloser(bytes.NewReader(plain)), nil
}

func (trace *tracer) keep(number uint8, wire, clear []byte) {
	entry := traced{Number: number, Wire: hex.EncodeToString(wire)}
	if number >= protocol.TO2SetupDeviceMsgType && number <= protocol.TO2Done2MsgType {
		entry.Clear = hex.EncodeToString(clear)
	}
	trace.Messages = append(trace.Messages, entry)
}

// crypterOf finds the derived keys in a session of any exchange.
func crypterOf(session kex.Session) *kex.SessionCrypter {
	switch kind := session.(type) {
	case kex.DecryptOnly:
		return crypterOf(kind.Session)
	case *kex.ECDHSession:
		return &kind.SessionCrypter
	case *kex.DHSession:
		return &kind.SessionCrypter
	case *kex.OAEPSession:
		return &kind.SessionCrypter
	}
	return nil
}

var _ fdo.Transport = (*tracer)(nil)
