// Package authority makes the certificates that an engine and its clients know
// each other by: those of an authority, of servers, of clients. It keeps
// nothing: the authority is in the config, rosd reads and writes it there.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// How long certificates are good. Those of the authority outlive what it signs.
const (
	authorityYears = 10
	leafYears      = 3
	beforehand     = 24 * time.Hour // clocks differ
)

// Pair is a certificate and its key, in PEM.
type Pair struct{ Cert, Key string }

// New makes an authority.
func New(name string, now time.Time) (Pair, error) {
	template := x509.Certificate{
		Subject:  pkix.Name{CommonName: name},
		NotAfter: now.AddDate(authorityYears, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
	}
	pair, err := make509(template, now, nil, nil)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot make an authority: %w", err)
	}
	return pair, nil
}

// Server makes the certificate of an engine that clients reach by hosts: names
// and addresses.
func (ca Pair) Server(hosts []string, now time.Time) (Pair, error) {
	template := x509.Certificate{
		Subject:  pkix.Name{CommonName: hosts[0]},
		NotAfter: now.AddDate(leafYears, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range slices.Compact(slices.Sorted(slices.Values(hosts))) {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	return ca.sign(template, now)
}

// Client makes the certificate of somebody who may use the engine.
func (ca Pair) Client(name string, now time.Time) (Pair, error) {
	return ca.sign(x509.Certificate{
		Subject:  pkix.Name{CommonName: name},
		NotAfter: now.AddDate(leafYears, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, now)
}

func (ca Pair) sign(template x509.Certificate, now time.Time) (Pair, error) {
	signer, err := tls.X509KeyPair([]byte(ca.Cert), []byte(ca.Key))
	if err != nil {
		return Pair{}, fmt.Errorf("cannot use the authority: %w", err)
	}
	if signer.Leaf == nil || !signer.Leaf.IsCA {
		return Pair{}, errors.New("cannot use the authority: its certificate is not one of an authority")
	}
	if template.NotAfter.After(signer.Leaf.NotAfter) {
		template.NotAfter = signer.Leaf.NotAfter
	}
	pair, err := make509(template, now, signer.Leaf, signer.PrivateKey)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot make a certificate for %q: %w", template.Subject.CommonName, err)
	}
	return pair, nil
}

// make509 signs by itself when there is no signer.
func make509(template x509.Certificate, now time.Time, signer *x509.Certificate, with any) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, err
	}
	template.NotBefore = now.Add(-beforehand)
	if signer == nil {
		signer, with = &template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, signer, key.Public(), with)
	if err != nil {
		return Pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return Pair{Cert: encode("CERTIFICATE", der), Key: encode("PRIVATE KEY", private)}, nil
}
