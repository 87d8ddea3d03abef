package sitetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ClientFiles names PEM files of a TLS client.
type ClientFiles struct{ CA, Cert, Key string }

// pki makes the certificates of one lab.
type pki struct {
	dir     string
	ca      authority
	another authority // whom nobody trusts
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newPKI(dir string) (*pki, error) {
	p := &pki{dir: dir}
	var err error
	if p.ca, err = p.authority("lab CA"); err == nil {
		p.another, err = p.authority("another CA")
	}
	if err != nil {
		return nil, fmt.Errorf("making certificates: %w", err)
	}
	return p, nil
}

func (p *pki) authority(name string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-90 * 24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, err
	}
	file, err := p.write(name, "CERTIFICATE", der)
	return authority{cert, key, file}, err
}

// issued is a certificate with its files.
type issued struct {
	tls       tls.Certificate
	cert, key string // PEM files
	pin       string
}

// issue makes a certificate that ends at a time, and began 60 days before.
func (p *pki) issue(by authority, name string, until time.Time, hosts ...Host) (issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issued{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return issued{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: until.Add(-60 * 24 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(hosts) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, h := range hosts {
		template.DNSNames = append(template.DNSNames, strings.TrimSuffix(h.Name, "."))
		template.IPAddresses = append(template.IPAddresses, net.IP(h.V4.AsSlice()), net.IP(h.V6.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return issued{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return issued{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return issued{}, err
	}
	sum := sha256.Sum256(public)
	out := issued{tls: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pin: base64.StdEncoding.EncodeToString(sum[:])}
	if out.cert, err = p.write(name+"-"+serial.Text(36), "CERTIFICATE", der); err != nil {
		return issued{}, err
	}
	out.key, err = p.write(name+"-"+serial.Text(36)+"-key", "PRIVATE KEY", secret)
	return out, err
}

// client makes the files of a client of the broker.
func (p *pki) client(name string) (ClientFiles, error) {
	c, err := p.issue(p.ca, name, time.Now().Add(20*time.Hour))
	if err != nil {
		return ClientFiles{}, fmt.Errorf("making a client certificate: %w", err)
	}
	return ClientFiles{CA: p.ca.file, Cert: c.cert, Key: c.key}, nil
}

func (p *pki) write(name, kind string, der []byte) (string, error) {
	path := filepath.Join(p.dir, strings.NewReplacer("/", "_", " ", "_").Replace(name)+".pem")
	return path, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (p *pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca.cert)
	return pool
}
