package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"hash"
	"os"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/blob"
	"github.com/fido-device-onboard/go-fdo/cbor"
	"github.com/fido-device-onboard/go-fdo/custom"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

func extendToKey(voucher *fdo.Voucher, signer crypto.Signer, next crypto.PublicKey) (*fdo.Voucher, error) {
	switch key := next.(type) {
	case *ecdsa.PublicKey:
		return fdo.ExtendVoucher(voucher, signer, key, nil)
	case *rsa.PublicKey:
		return fdo.ExtendVoucher(voucher, signer, key, nil)
	}
	return nil, fmt.Errorf("cannot extend to %T", next)
}

// recipe is what a voucher is made of.
type recipe struct {
	ring             keyring
	kind, device     string
	pss, pkcs        bool
	encoding, info   string
	serial, rv, form string
	entries          int
	bypass           bool
	nextKey          crypto.PublicKey
	nextChain        []*x509.Certificate
}

func runVoucherMake(words []string) (any, error) {
	flags := flag.NewFlagSet("voucher make", flag.ContinueOnError)
	made := recipe{}
	keys := flags.String("keys", "", "key folder")
	flags.StringVar(&made.kind, "key", "P-256", "kind of the manufacturer and owner keys")
	flags.StringVar(&made.device, "device-key", "", "kind of the device key (default: the same)")
	flags.BoolVar(&made.pss, "pss", false, "RSA keys sign with PSS, the device's too")
	flags.BoolVar(&made.pkcs, "pkcs", false, "RSAPKCS where RSA2048RESTR is the default")
	flags.StringVar(&made.encoding, "encoding", "x509", "x509, x5chain, cose")
	flags.StringVar(&made.info, "info", "go-fdo device", "device info string")
	flags.StringVar(&made.serial, "serial", "go-1", "common name of the device certificate")
	flags.StringVar(&made.rv, "rv", "http://127.0.0.1:80", "rendezvous URL; with -bypass the owner's")
	flags.StringVar(&made.form, "address", "dns", "dns, ip4, ip16")
	flags.BoolVar(&made.bypass, "bypass", false, "RVInfo with RVBypass")
	flags.IntVar(&made.entries, "entries", 1, "extensions; the last is to the owner")
	next := flags.String("next", "", "PEM of the last owner's public key or certificates (default: the ring's owner)")
	out := flags.String("out", "", "voucher file (PEM)")
	credential := flags.String("blob", "", "credential file of the device")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	made.ring = keyring{*keys}
	if *next != "" {
		content, err := os.ReadFile(*next)
		if err != nil {
			return nil, err
		}
		if made.nextKey, made.nextChain, err = parsePublic(content); err != nil {
			return nil, err
		}
	}
	voucher, device, err := made.cook()
	if err != nil {
		return nil, err
	}
	return writeVoucher(voucher, *out, device, *credential)
}

func writeVoucher(voucher *fdo.Voucher, out string, device *saved, credential string) (any, error) {
	content, err := formatVoucher(voucher)
	if err != nil {
		return nil, err
	}
	if out != "" {
		if err := os.WriteFile(out, content, 0o644); err != nil {
			return nil, err
		}
	}
	if device != nil && credential != "" {
		if err := device.store(credential); err != nil {
			return nil, err
		}
	}
	return voucherFacts(voucher), nil
}

// cook makes a voucher and the credential of its device without any protocol run.
func (made recipe) cook() (*fdo.Voucher, *saved, error) {
	if made.device == "" {
		made.device = made.kind
	}
	manufacturer, chain, err := made.ring.pair("manufacturer", made.kind)
	if err != nil {
		return nil, nil, err
	}
	key, err := publicKey(typeOf(made.kind, made.pss, made.pkcs), encodings[made.encoding], manufacturer.Public(), chain)
	if err != nil {
		return nil, nil, err
	}
	rvInfo, err := rvInfoFor(made.rv, made.form, made.bypass)
	if err != nil {
		return nil, nil, err
	}
	device, certificates, err := made.deviceIdentity()
	if err != nil {
		return nil, nil, err
	}
	algorithm := hashFor(made.kind, made.device)
	device.DeviceCredential.DeviceCredential = fdo.DeviceCredential{
		Version: 101, DeviceInfo: made.info, RvInfo: rvInfo,
		PublicKeyHash: protocol.Hash{Algorithm: algorithm, Value: digestOf(algorithm, *key)},
	}
	if _, err := rand.Read(device.GUID[:]); err != nil {
		return nil, nil, err
	}
	voucher, err := seal(device, *key, certificates, algorithm)
	if err != nil {
		return nil, nil, err
	}
	voucher, err = made.extend(voucher)
	return voucher, device, err
}

func (made recipe) extend(voucher *fdo.Voucher) (*fdo.Voucher, error) {
	if made.nextKey == nil {
		return extendTimes(made.ring, voucher, made.entries, "owner")
	}
	holder := "manufacturer"
	for number := range made.entries - 1 {
		next := []string{"middle-a", "middle-b"}[number%2]
		signer, _, err := made.ring.pair(holder, made.kind)
		if err != nil {
			return nil, err
		}
		heir, chain, err := made.ring.pair(next, made.kind)
		if err != nil {
			return nil, err
		}
		if voucher, err = extendOnce(voucher, signer, heir.Public(), chain); err != nil {
			return nil, err
		}
		holder = next
	}
	signer, _, err := made.ring.pair(holder, made.kind)
	if err != nil {
		return nil, err
	}
	return extendOnce(voucher, signer, made.nextKey, made.nextChain)
}

// deviceIdentity is a device key with its certificate chain, and a fresh secret.
func (made recipe) deviceIdentity() (*saved, []*x509.Certificate, error) {
	key, _, err := made.ring.pair("device", made.device)
	if err != nil {
		return nil, nil, err
	}
	ca, caChain, err := made.ring.pair("device-ca", "P-384")
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(
		rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: made.serial}}, key,
	)
	if err != nil {
		return nil, nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, err
	}
	info := &custom.DeviceMfgInfo{CertInfo: cbor.X509CertificateRequest(*csr)}
	chain, err := custom.SignDeviceCertificate(ca, caChain)(info)
	if err != nil {
		return nil, nil, err
	}
	device := &saved{PSS: made.pss}
	device.Active, device.PrivateKey = true, blob.Pkcs8Key{Signer: key}
	device.HmacSecret = make([]byte, 32)
	_, err = rand.Read(device.HmacSecret)
	return device, chain, err
}

// seal makes the voucher of a credential, with zero entries.
func seal(
	device *saved, key protocol.PublicKey, certificates []*x509.Certificate, algorithm protocol.HashAlg,
) (*fdo.Voucher, error) {
	wrapped := make([]*cbor.X509Certificate, len(certificates))
	chained := algorithm.HashFunc().New()
	for number, certificate := range certificates {
		wrapped[number] = (*cbor.X509Certificate)(certificate)
		_, _ = chained.Write(certificate.Raw)
	}
	header := fdo.VoucherHeader{
		Version: 101, GUID: device.GUID, RvInfo: device.RvInfo, DeviceInfo: device.DeviceInfo, ManufacturerKey: key,
		CertChainHash: &protocol.Hash{Algorithm: algorithm, Value: chained.Sum(nil)},
	}
	var mac hash.Hash
	mac256, mac384 := device.HMACs()
	kind := protocol.HmacSha256Hash
	if mac = mac256; algorithm == protocol.Sha384Hash {
		mac, kind = mac384, protocol.HmacSha384Hash
	}
	if err := cbor.NewEncoder(mac).Encode(header); err != nil {
		return nil, err
	}
	return &fdo.Voucher{
		Version: 101, Header: *cbor.NewBstr(header), CertChain: &wrapped,
		Hmac: protocol.Hmac{Algorithm: kind, Value: mac.Sum(nil)},
	}, nil
}

// hashFor is the narrower hash of two keys (256 for P-256 and RSA-2048, else 384).
func hashFor(kinds ...string) protocol.HashAlg {
	for _, kind := range kinds {
		if kind == "P-256" || kind == "RSA-2048" {
			return protocol.Sha256Hash
		}
	}
	return protocol.Sha384Hash
}

func digestOf(algorithm protocol.HashAlg, value any) []byte {
	digest := algorithm.HashFunc().New()
	if err := cbor.NewEncoder(digest).Encode(value); err != nil {
		panic(err)
	}
	return digest.Sum(nil)
}

func runVoucherExtend(words []string) (any, error) {
	flags := flag.NewFlagSet("voucher extend", flag.ContinueOnError)
	in := flags.String("in", "", "voucher file")
	signerFile := flags.String("signer", "", "PEM of the present owner's private key")
	nextFile := flags.String("next", "", "PEM of the next owner's public key or certificates")
	out := flags.String("out", "", "voucher file")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	voucher, err := readVoucher(*in)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(*signerFile)
	if err != nil {
		return nil, err
	}
	signer, _, err := parsePair(content)
	if err != nil {
		return nil, err
	}
	if content, err = os.ReadFile(*nextFile); err != nil {
		return nil, err
	}
	next, chain, err := parsePublic(content)
	if err != nil {
		return nil, err
	}
	if voucher, err = extendOnce(voucher, signer, next, chain); err != nil {
		return nil, err
	}
	return writeVoucher(voucher, *out, nil, "")
}

func readVoucher(path string) (*fdo.Voucher, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseVoucher(content)
}

// runVoucherCheck verifies a voucher with the library, as a device would with its credential and as an owner would
// without.
func runVoucherCheck(words []string) (any, error) {
	flags := flag.NewFlagSet("voucher check", flag.ContinueOnError)
	in := flags.String("in", "", "voucher file")
	credential := flags.String("blob", "", "credential file of the device")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	voucher, err := readVoucher(*in)
	if err != nil {
		return nil, err
	}
	problems := errors.Join(voucher.VerifyEntries(), voucher.VerifyCertChainHash(), voucher.VerifyDeviceCertChain(nil))
	if *credential != "" {
		device, err := loadBlob(*credential)
		if err != nil {
			return nil, err
		}
		mac256, mac384 := device.HMACs()
		problems = errors.Join(problems, voucher.VerifyHeader(mac256, mac384), voucher.VerifyManufacturerKey(device.PublicKeyHash))
	}
	return voucherFacts(voucher), problems
}
