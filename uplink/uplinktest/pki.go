package uplinktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
)

// PKI is a throwaway certificate authority. Its files are gone with the test.
type PKI struct {
	CA string // PEM file of the CA's certificate

	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewPKI makes a CA that is valid from an hour ago for a day.
func NewPKI(t testing.TB) *PKI {
	t.Helper()
	p := &PKI{t: t, dir: t.TempDir()}
	p.key = p.newKey()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: p.serial(), Subject: pkix.Name{CommonName: "uplinktest CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	p.check(err)
	p.cert, err = x509.ParseCertificate(der)
	p.check(err)
	p.CA = p.write("CERTIFICATE", der)
	return p
}

// Server makes a certificate for 127.0.0.1 and localhost, valid until expires; a
// zero time means for a day.
func (p *PKI) Server(expires time.Time) (cert, key string) {
	p.t.Helper()
	return p.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, NotAfter: expires,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Client makes a certificate with the given common name, valid until expires; a
// zero time means for a day.
func (p *PKI) Client(name string, expires time.Time) (cert, key string) {
	p.t.Helper()
	return p.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: expires,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// TLS returns what a client of that name needs; no certificate of its own when
// name is empty.
func (p *PKI) TLS(name string) uplink.TLS {
	p.t.Helper()
	files := uplink.TLS{CA: p.CA}
	if name != "" {
		files.Cert, files.Key = p.Client(name, time.Time{})
	}
	return files
}

func (p *PKI) issue(template *x509.Certificate) (cert, key string) {
	p.t.Helper()
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	template.NotBefore = template.NotAfter.Add(-48 * time.Hour)
	template.SerialNumber = p.serial()
	template.KeyUsage = x509.KeyUsageDigitalSignature
	k := p.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, k.Public(), p.key)
	p.check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	p.check(err)
	return p.write("CERTIFICATE", der), p.write("PRIVATE KEY", secret)
}

func (p *PKI) newKey() *ecdsa.PrivateKey {
	p.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.check(err)
	return k
}

func (p *PKI) serial() *big.Int {
	p.t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	p.check(err)
	return n
}

func (p *PKI) write(kind string, der []byte) string {
	p.t.Helper()
	f, err := os.CreateTemp(p.dir, "*.pem")
	p.check(err)
	defer f.Close()
	p.check(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}))
	return f.Name()
}

func (p *PKI) check(err error) {
	if err != nil {
		p.t.Helper()
		p.t.Fatalf("making certificates: %v", err)
	}
}
