package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/fido-device-onboard/go-fdo/protocol"
)

// Kinds of keys, by the names the portal uses too.
var kinds = []string{"P-256", "P-384", "RSA-2048", "RSA-3072"}

// roles are the key pairs of a key folder: who signs what. Two middlemen make chains of any length.
var roles = []string{"manufacturer", "middle-a", "middle-b", "owner", "owner2", "device", "device-ca"}

// keyring is a folder of PEM files, filled as keys are asked for, so that no run pays for RSA keys twice.
type keyring struct{ folder string }

// runKeys fills a folder with every key of every role; safe to run again.
func runKeys(words []string) (any, error) {
	flags := flag.NewFlagSet("keys", flag.ContinueOnError)
	folder := flags.String("dir", "", "folder of PEM files")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	made := map[string]string{}
	for _, role := range roles {
		for _, kind := range kinds {
			if _, _, err := (keyring{*folder}).pair(role, kind); err != nil {
				return nil, err
			}
			made[role+" "+kind] = filepath.Join(*folder, role+"-"+kind+".pem")
		}
	}
	return made, nil
}

// pair is the key of a role and its certificate chain: leaf first, a root of its own last.
func (ring keyring) pair(role, kind string) (crypto.Signer, []*x509.Certificate, error) {
	if ring.folder == "" {
		return makePair(role, kind)
	}
	path := filepath.Join(ring.folder, role+"-"+kind+".pem")
	if content, err := os.ReadFile(path); err == nil {
		return parsePair(content)
	}
	signer, chain, err := makePair(role, kind)
	if err != nil {
		return nil, nil, err
	}
	content, err := formatPair(signer, chain)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(ring.folder, 0o700); err != nil {
		return nil, nil, err
	}
	return signer, chain, os.WriteFile(path, content, 0o600)
}

func makePair(role, kind string) (crypto.Signer, []*x509.Certificate, error) {
	signer, err := generate(kind)
	if err != nil {
		return nil, nil, err
	}
	rootKey, err := generate("P-256")
	if err != nil {
		return nil, nil, err
	}
	root, err := certify(role+" root", rootKey.Public(), nil, rootKey, true)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := certify(role+" "+kind, signer.Public(), root, rootKey, role == "device-ca")
	if err != nil {
		return nil, nil, err
	}
	return signer, []*x509.Certificate{leaf, root}, nil
}

func certify(
	name string, public crypto.PublicKey, issuer *x509.Certificate, issuerKey crypto.Signer, authority bool,
) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(30, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  authority,
	}
	if authority {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, issuerKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func generate(kind string) (crypto.Signer, error) {
	switch kind {
	case "P-256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "RSA-2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "RSA-3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	}
	return nil, fmt.Errorf("no such kind of key: %q", kind)
}

func formatPair(signer crypto.Signer, chain []*x509.Certificate) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, err
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, certificate := range chain {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}
		content = append(content, pem.EncodeToMemory(block)...)
	}
	return content, nil
}

// parsePair reads a PKCS#8 private key and any certificates after it.
func parsePair(content []byte) (signer crypto.Signer, chain []*x509.Certificate, _ error) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			signer = key.(crypto.Signer)
		case "CERTIFICATE":
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			chain = append(chain, certificate)
		}
	}
	if signer == nil {
		return nil, nil, errors.New("no PRIVATE KEY in PEM")
	}
	return signer, chain, nil
}

// parsePublic reads the next owner out of PEM: a certificate chain if there is one, else a public key.
func parsePublic(content []byte) (public crypto.PublicKey, chain []*x509.Certificate, err error) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PUBLIC KEY":
			if public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
				return nil, nil, err
			}
		case "CERTIFICATE":
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			chain = append(chain, certificate)
		}
	}
	if len(chain) > 0 {
		public = chain[0].PublicKey
	}
	if public == nil {
		return nil, nil, errors.New("no PUBLIC KEY or CERTIFICATE in PEM")
	}
	return public, chain, nil
}

// kindOf is the inverse of generate.
func kindOf(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return key.Curve.Params().Name, nil
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", key.Size()*8), nil
	}
	return "", fmt.Errorf("no kind for %T", public)
}

// typeOf is the pkType of a key. RSA-2048 is restricted, as the library's own TO2 wants it, unless pkcs is asked for.
func typeOf(kind string, pss, pkcs bool) protocol.KeyType {
	switch {
	case kind == "P-256":
		return protocol.Secp256r1KeyType
	case kind == "P-384":
		return protocol.Secp384r1KeyType
	case pss:
		return protocol.RsaPssKeyType
	case kind == "RSA-2048" && !pkcs:
		return protocol.Rsa2048RestrKeyType
	}
	return protocol.RsaPkcsKeyType
}

// kindFor is the kind of key that a pkType and a modulus size name.
func kindFor(keyType protocol.KeyType, rsaBits int) string {
	switch keyType {
	case protocol.Secp256r1KeyType:
		return "P-256"
	case protocol.Secp384r1KeyType:
		return "P-384"
	case protocol.Rsa2048RestrKeyType:
		return "RSA-2048"
	}
	return fmt.Sprintf("RSA-%d", rsaBits)
}

var encodings = map[string]protocol.KeyEncoding{
	"x509": protocol.X509KeyEnc, "x5chain": protocol.X5ChainKeyEnc, "cose": protocol.CoseKeyEnc,
}

// publicKey encodes a key as a voucher carries it; x5chain needs the chain.
func publicKey(
	keyType protocol.KeyType, encoding protocol.KeyEncoding, public crypto.PublicKey, chain []*x509.Certificate,
) (*protocol.PublicKey, error) {
	if encoding == protocol.X5ChainKeyEnc {
		return protocol.NewPublicKey(keyType, chain, false)
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return protocol.NewPublicKey(keyType, key, encoding == protocol.CoseKeyEnc)
	case *rsa.PublicKey:
		return protocol.NewPublicKey(keyType, key, encoding == protocol.CoseKeyEnc)
	}
	return nil, fmt.Errorf("cannot encode %T", public)
}
