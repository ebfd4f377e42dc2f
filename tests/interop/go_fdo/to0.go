package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"flag"
	"net/http"
	"os"
	"time"

	fdo "github.com/fido-device-onboard/go-fdo"
	fdohttp "github.com/fido-device-onboard/go-fdo/http"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

// oneOwner signs with the one key it was given.
type oneOwner struct {
	signer crypto.Signer
	chain  []*x509.Certificate
}

// OwnerKey implements fdo.OwnerKeyPersistentState.
func (owner oneOwner) OwnerKey(
	context.Context, protocol.KeyType, int,
) (crypto.Signer, []*x509.Certificate, error) {
	return owner.signer, owner.chain, nil
}

// runTO0 registers one voucher at a rendezvous server.
func runTO0(words []string) (any, error) {
	flags := flag.NewFlagSet("to0", flag.ContinueOnError)
	target := flags.String("url", "", "rendezvous server")
	in := flags.String("voucher", "", "voucher file")
	keyFile := flags.String("owner-key", "", "PEM of the owner's private key")
	to2 := flags.String("to2", "", "URL at which the owner serves TO2")
	form := flags.String("address", "dns", "how that address is written: dns, ip4, ip16")
	ttl := flags.Uint("ttl", 3600, "seconds asked for")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	voucher, err := readVoucher(*in)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(*keyFile)
	if err != nil {
		return nil, err
	}
	signer, chain, err := parsePair(content)
	if err != nil {
		return nil, err
	}
	address, err := ownerAddress(*to2, *form)
	if err != nil {
		return nil, err
	}
	kept := newStore(keyring{})
	if err := kept.AddVoucher(context.Background(), voucher); err != nil {
		return nil, err
	}
	client := &fdo.TO0Client{Vouchers: kept, OwnerKeys: oneOwner{signer, chain}, TTL: uint32(*ttl)}
	transport := &fdohttp.Transport{BaseURL: *target, Client: &http.Client{Timeout: 20 * time.Second}}
	addresses := []protocol.RvTO2Addr{address}
	seconds, err := client.RegisterBlob(context.Background(), transport, voucher.Header.Val.GUID, addresses)
	if err != nil {
		return nil, err
	}
	return map[string]uint32{"wait_seconds": seconds}, nil
}
