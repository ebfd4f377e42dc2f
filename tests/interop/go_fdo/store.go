package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"sync"
	"time"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

// store keeps what outlives a conversation: vouchers and rendezvous blobs, in memory; keys come from the ring.
type store struct {
	ring      keyring
	role      string // of the ring's keys that own here
	mutex     sync.Mutex
	vouchers  map[protocol.GUID]*fdo.Voucher
	replaced  map[protocol.GUID]protocol.GUID
	redirects map[protocol.GUID]registered
}

type registered struct {
	blob    *to1d
	voucher *fdo.Voucher
	until   time.Time
}

func newStore(ring keyring) *store {
	return &store{
		ring:      ring,
		role:      "owner",
		vouchers:  map[protocol.GUID]*fdo.Voucher{},
		replaced:  map[protocol.GUID]protocol.GUID{},
		redirects: map[protocol.GUID]registered{},
	}
}

// AddVoucher implements fdo.VoucherPersistentState.
func (kept *store) AddVoucher(_ context.Context, voucher *fdo.Voucher) error {
	kept.mutex.Lock()
	defer kept.mutex.Unlock()
	kept.vouchers[voucher.Header.Val.GUID] = voucher
	return nil
}

// Voucher implements fdo.VoucherPersistentState.
func (kept *store) Voucher(_ context.Context, guid protocol.GUID) (*fdo.Voucher, error) {
	kept.mutex.Lock()
	defer kept.mutex.Unlock()
	if voucher, known := kept.vouchers[guid]; known {
		return voucher, nil
	}
	return nil, fdo.ErrNotFound
}

// ReplaceVoucher implements fdo.OwnerVoucherPersistentState.
func (kept *store) ReplaceVoucher(_ context.Context, guid protocol.GUID, voucher *fdo.Voucher) error {
	kept.mutex.Lock()
	defer kept.mutex.Unlock()
	delete(kept.vouchers, guid)
	kept.vouchers[voucher.Header.Val.GUID] = voucher
	kept.replaced[guid] = voucher.Header.Val.GUID
	return nil
}

// RemoveVoucher implements fdo.VoucherReseller.
func (kept *store) RemoveVoucher(_ context.Context, guid protocol.GUID) (*fdo.Voucher, error) {
	kept.mutex.Lock()
	defer kept.mutex.Unlock()
	voucher, known := kept.vouchers[guid]
	if !known {
		return nil, fdo.ErrNotFound
	}
	delete(kept.vouchers, guid)
	return voucher, nil
}

// OwnerKey implements fdo.OwnerKeyPersistentState.
func (kept *store) OwnerKey(
	_ context.Context, keyType protocol.KeyType, rsaBits int,
) (crypto.Signer, []*x509.Certificate, error) {
	return kept.ring.pair(kept.role, kindFor(keyType, rsaBits))
}

// SetRVBlob implements fdo.RendezvousBlobPersistentState.
func (kept *store) SetRVBlob(_ context.Context, voucher *fdo.Voucher, blob *to1d, until time.Time) error {
	kept.mutex.Lock()
	defer kept.mutex.Unlock()
	kept.redirects[voucher.Header.Val.GUID] = registered{blob, voucher, until}
	return nil
}

// RVBlob implements fdo.RendezvousBlobPersistentState.
func (kept *store) RVBlob(_ context.Context, guid protocol.GUID) (*to1d, *fdo.Voucher, error) {
	kept.mutex.Lock()
	defer kept.mutex.Unlock()
	found, known := kept.redirects[guid]
	if !known || time.Now().After(found.until) {
		return nil, nil, fdo.ErrNotFound
	}
	return found.blob, found.voucher, nil
}
