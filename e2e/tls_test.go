package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tlsFiles are the certificates of a broker and its clients, by one CA.
type tlsFiles struct {
	dir     string
	clients bool // the broker asks for client certificates
}

// newTLS makes the certificates.
func newTLS(t testing.TB, clients bool) *tlsFiles {
	t.Helper()
	f := &tlsFiles{dir: t.TempDir(), clients: clients}
	ca := newAuthority(t, "CA")
	f.write(t, "ca.pem", "CERTIFICATE", ca.der)
	f.issue(t, ca, "server", x509.ExtKeyUsageServerAuth)
	f.issue(t, ca, "client", x509.ExtKeyUsageClientAuth)
	f.write(t, "stranger.pem", "CERTIFICATE", newAuthority(t, "Stranger").der)
	return f
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	der  []byte
}

func newAuthority(t testing.TB, name string) authority {
	t.Helper()
	key := newECKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, der}
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue writes name.pem and name.key.
func (f *tlsFiles) issue(t testing.TB, ca authority, name string, usage x509.ExtKeyUsage) {
	t.Helper()
	key := newECKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, name+".pem", "CERTIFICATE", der)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, name+".key", "PRIVATE KEY", private)
}

func (f *tlsFiles) write(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(f.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *tlsFiles) path(name string) string { return filepath.Join(f.dir, name) }

// listener is what mosquitto's listener needs.
func (f *tlsFiles) listener() string {
	text := fmt.Sprintf("\ncafile %s\ncertfile %s\nkeyfile %s", f.path("ca.pem"), f.path("server.pem"), f.path("server.key"))
	if f.clients {
		text += "\nrequire_certificate true"
	}
	return text
}

// client is what the broker section of a program's config needs.
func (f *tlsFiles) client() string {
	text := fmt.Sprintf("  ca_file: %s\n", f.path("ca.pem"))
	if f.clients {
		text += fmt.Sprintf("  cert_file: %s\n  key_file: %s\n", f.path("client.pem"), f.path("client.key"))
	}
	return text
}

// TestTLS: agent and collector over TLS with passwords, and with client
// certificates on top; readings are stored and acknowledged. A program that is
// given another CA sends nothing.
func TestTLS(t *testing.T) {
	t.Parallel()
	for name, clients := range map[string]bool{"server certificate": false, "client certificates": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTLS(t, clients)
			s := newSite(t, siteOptions{tls: f})
			devices := newMeters(t, 1).config()
			g := s.newGateway("gw-1", gatewayOptions{devices: devices, tls: f})
			g.enroll()
			s.start()
			g.start()
			eventually(t, "the first readings are acknowledged", 20*time.Second, func() bool {
				st, ok := g.status()
				return ok && st.Session.Acked > 6
			})

			wrong := s.newGateway("gw-2", gatewayOptions{devices: devices, tls: f})
			wrong.edit(f.path("ca.pem"), f.path("stranger.pem"))
			wrong.start()
			eventually(t, "the agent says that it does not trust the broker", 10*time.Second, func() bool {
				st, ok := wrong.status()
				return ok && !st.Session.Connected && strings.Contains(st.LastError, "certificate")
			})
			s.complete(g)
		})
	}
}
