package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding"
	"encoding/hex"
	"fmt"
	"sync"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/kex"
	"github.com/fido-device-onboard/go-fdo/protocol"
	"github.com/fido-device-onboard/go-fdo/serviceinfo"
)

// sessions keeps every conversation in memory under a random token: the least a go-fdo server can do.
type sessions struct {
	mutex  sync.Mutex
	living map[string]*session
	// exchanged, when set, is told each key exchange as it is stored, for the vectors.
	exchanged func(suite kex.Suite, state []byte)
}

// session is what one conversation remembers. A nil field was never set.
type session struct {
	chain       []*x509.Certificate
	header      *fdo.VoucherHeader
	to0, to1    *protocol.Nonce
	proveDevice *protocol.Nonce
	setupDevice *protocol.Nonce
	guid        *protocol.GUID
	newGUID     *protocol.GUID
	newHmac     *protocol.Hmac
	rvInfo      *[][]protocol.RvInstruction
	suite       kex.Suite
	exchange    []byte
	mtu         *uint16
	devmod      *serviceinfo.Devmod
	modules     []string
	complete    bool
	plan        *planRun
}

type tokenKey struct{}

func newSessions() *sessions { return &sessions{living: map[string]*session{}} }

// NewToken implements protocol.TokenService.
func (all *sessions) NewToken(context.Context, protocol.Protocol) (string, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	token := hex.EncodeToString(random)
	all.mutex.Lock()
	defer all.mutex.Unlock()
	all.living[token] = &session{}
	return token, nil
}

// InvalidateToken implements protocol.TokenService.
func (all *sessions) InvalidateToken(ctx context.Context) error {
	token, _ := all.TokenFromContext(ctx)
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if _, alive := all.living[token]; !alive {
		return fdo.ErrNotFound
	}
	delete(all.living, token)
	return nil
}

// TokenContext implements protocol.TokenService.
func (all *sessions) TokenContext(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// TokenFromContext implements protocol.TokenService.
func (all *sessions) TokenFromContext(ctx context.Context) (string, bool) {
	token, known := ctx.Value(tokenKey{}).(string)
	return token, known
}

// of is the session of a request. One device waits for each answer, so its fields need no lock of their own.
func (all *sessions) of(ctx context.Context) (*session, error) {
	token, _ := all.TokenFromContext(ctx)
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if found, alive := all.living[token]; alive {
		return found, nil
	}
	return nil, fdo.ErrInvalidSession
}

// put and get are the shape of every pair of accessors below.
func put[T any](ctx context.Context, all *sessions, field func(*session) **T, value T) error {
	found, err := all.of(ctx)
	if err != nil {
		return err
	}
	*field(found) = &value
	return nil
}

func get[T any](ctx context.Context, all *sessions, field func(*session) **T) (value T, _ error) {
	found, err := all.of(ctx)
	if err != nil {
		return value, err
	}
	if kept := *field(found); kept != nil {
		return *kept, nil
	}
	return value, fdo.ErrNotFound
}

func to0Field(s *session) **protocol.Nonce                { return &s.to0 }
func to1Field(s *session) **protocol.Nonce                { return &s.to1 }
func proveField(s *session) **protocol.Nonce              { return &s.proveDevice }
func setupField(s *session) **protocol.Nonce              { return &s.setupDevice }
func guidField(s *session) **protocol.GUID                { return &s.guid }
func newGUIDField(s *session) **protocol.GUID             { return &s.newGUID }
func newHmacField(s *session) **protocol.Hmac             { return &s.newHmac }
func rvInfoField(s *session) **[][]protocol.RvInstruction { return &s.rvInfo }
func mtuField(s *session) **uint16                        { return &s.mtu }
func headerField(s *session) **fdo.VoucherHeader          { return &s.header }

// SetDeviceCertChain implements fdo.DISessionState.
func (all *sessions) SetDeviceCertChain(ctx context.Context, chain []*x509.Certificate) error {
	found, err := all.of(ctx)
	if err == nil {
		found.chain = chain
	}
	return err
}

// DeviceCertChain implements fdo.DISessionState.
func (all *sessions) DeviceCertChain(ctx context.Context) ([]*x509.Certificate, error) {
	found, err := all.of(ctx)
	if err != nil {
		return nil, err
	}
	if found.chain == nil {
		return nil, fdo.ErrNotFound
	}
	return found.chain, nil
}

// SetIncompleteVoucherHeader implements fdo.DISessionState.
func (all *sessions) SetIncompleteVoucherHeader(ctx context.Context, header *fdo.VoucherHeader) error {
	return put(ctx, all, headerField, *header)
}

// IncompleteVoucherHeader implements fdo.DISessionState.
func (all *sessions) IncompleteVoucherHeader(ctx context.Context) (*fdo.VoucherHeader, error) {
	header, err := get(ctx, all, headerField)
	return &header, err
}

// SetTO0SignNonce implements fdo.TO0SessionState.
func (all *sessions) SetTO0SignNonce(ctx context.Context, nonce protocol.Nonce) error {
	return put(ctx, all, to0Field, nonce)
}

// TO0SignNonce implements fdo.TO0SessionState.
func (all *sessions) TO0SignNonce(ctx context.Context) (protocol.Nonce, error) {
	return get(ctx, all, to0Field)
}

// SetTO1ProofNonce implements fdo.TO1SessionState.
func (all *sessions) SetTO1ProofNonce(ctx context.Context, nonce protocol.Nonce) error {
	return put(ctx, all, to1Field, nonce)
}

// TO1ProofNonce implements fdo.TO1SessionState.
func (all *sessions) TO1ProofNonce(ctx context.Context) (protocol.Nonce, error) {
	return get(ctx, all, to1Field)
}

// SetGUID implements fdo.TO2SessionState, as do the rest.
func (all *sessions) SetGUID(ctx context.Context, guid protocol.GUID) error {
	return put(ctx, all, guidField, guid)
}

// GUID implements fdo.TO2SessionState.
func (all *sessions) GUID(ctx context.Context) (protocol.GUID, error) {
	return get(ctx, all, guidField)
}

// SetRvInfo implements fdo.TO2SessionState.
func (all *sessions) SetRvInfo(ctx context.Context, rvInfo [][]protocol.RvInstruction) error {
	return put(ctx, all, rvInfoField, rvInfo)
}

// RvInfo implements fdo.TO2SessionState.
func (all *sessions) RvInfo(ctx context.Context) ([][]protocol.RvInstruction, error) {
	return get(ctx, all, rvInfoField)
}

// SetReplacementGUID implements fdo.TO2SessionState.
func (all *sessions) SetReplacementGUID(ctx context.Context, guid protocol.GUID) error {
	return put(ctx, all, newGUIDField, guid)
}

// ReplacementGUID implements fdo.TO2SessionState.
func (all *sessions) ReplacementGUID(ctx context.Context) (protocol.GUID, error) {
	return get(ctx, all, newGUIDField)
}

// SetReplacementHmac implements fdo.TO2SessionState.
func (all *sessions) SetReplacementHmac(ctx context.Context, hmac protocol.Hmac) error {
	return put(ctx, all, newHmacField, hmac)
}

// ReplacementHmac implements fdo.TO2SessionState.
func (all *sessions) ReplacementHmac(ctx context.Context) (protocol.Hmac, error) {
	return get(ctx, all, newHmacField)
}

// SetXSession implements fdo.TO2SessionState. The exchange is kept as bytes: its object is wiped after each message.
func (all *sessions) SetXSession(ctx context.Context, suite kex.Suite, exchange kex.Session) error {
	found, err := all.of(ctx)
	if err != nil {
		return err
	}
	state, err := exchange.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	if all.exchanged != nil {
		all.exchanged(suite, state)
	}
	found.suite, found.exchange = suite, state
	return nil
}

// XSession implements fdo.TO2SessionState.
func (all *sessions) XSession(ctx context.Context) (kex.Suite, kex.Session, error) {
	found, err := all.of(ctx)
	if err != nil {
		return "", nil, err
	}
	if found.exchange == nil {
		return "", nil, fdo.ErrNotFound
	}
	exchange := found.suite.New([]byte{}, kex.A128GcmCipher) // the stored state overrides the cipher
	reader, able := exchange.(encoding.BinaryUnmarshaler)
	if !able {
		return "", nil, fmt.Errorf("exchange %s cannot be restored", found.suite)
	}
	return found.suite, exchange, reader.UnmarshalBinary(found.exchange)
}

// SetProveDeviceNonce implements fdo.TO2SessionState.
func (all *sessions) SetProveDeviceNonce(ctx context.Context, nonce protocol.Nonce) error {
	return put(ctx, all, proveField, nonce)
}

// ProveDeviceNonce implements fdo.TO2SessionState.
func (all *sessions) ProveDeviceNonce(ctx context.Context) (protocol.Nonce, error) {
	return get(ctx, all, proveField)
}

// SetSetupDeviceNonce implements fdo.TO2SessionState.
func (all *sessions) SetSetupDeviceNonce(ctx context.Context, nonce protocol.Nonce) error {
	return put(ctx, all, setupField, nonce)
}

// SetupDeviceNonce implements fdo.TO2SessionState.
func (all *sessions) SetupDeviceNonce(ctx context.Context) (protocol.Nonce, error) {
	return get(ctx, all, setupField)
}

// SetMTU implements fdo.TO2SessionState.
func (all *sessions) SetMTU(ctx context.Context, mtu uint16) error {
	return put(ctx, all, mtuField, mtu)
}

// MTU implements fdo.TO2SessionState.
func (all *sessions) MTU(ctx context.Context) (uint16, error) { return get(ctx, all, mtuField) }

// SetDevmod implements fdo.TO2SessionState.
func (all *sessions) SetDevmod(ctx context.Context, devmod serviceinfo.Devmod, modules []string, complete bool) error {
	found, err := all.of(ctx)
	if err == nil {
		found.devmod, found.modules, found.complete = &devmod, modules, complete
	}
	return err
}

// Devmod implements fdo.TO2SessionState.
func (all *sessions) Devmod(ctx context.Context) (devmod serviceinfo.Devmod, _ []string, _ bool, _ error) {
	found, err := all.of(ctx)
	if err != nil {
		return devmod, nil, false, err
	}
	if found.devmod == nil {
		return devmod, nil, false, fdo.ErrNotFound
	}
	return *found.devmod, found.modules, found.complete, nil
}
