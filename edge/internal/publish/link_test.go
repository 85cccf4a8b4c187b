package publish

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"yunhe/edge/internal/publish/publishtest"
	"yunhe/internal/sparkplug"
)

// authority signs certificates of a test.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	n    int64
}

func newAuthority(t *testing.T, dir string) *authority {
	a := &authority{t: t, dir: dir}
	a.cert, a.key = a.issue("ca", true)
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// issue makes name.pem and name.key.
func (a *authority) issue(name string, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(a.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// doorman lets in one account, and refuses subscriptions if told so.
type doorman struct {
	mochi.HookBase
	deaf bool
}

func (*doorman) ID() string { return "doorman" }

func (*doorman) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*doorman) OnConnectAuthenticate(_ *mochi.Client, pk packets.Packet) bool {
	return string(pk.Connect.Username) == "site.gw" && string(pk.Connect.Password) == "secret"
}

func (d *doorman) OnACLCheck(_ *mochi.Client, _ string, write bool) bool { return write || !d.deaf }

// TestConnect: account and certificates are used, and each refusal is told.
func TestConnect(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	ca.issue("broker", false)
	ca.issue("gw", false)
	newAuthority(t, t.TempDir()).issue("other", false)
	pair, err := tls.LoadX509KeyPair(ca.path("broker.pem"), ca.path("broker.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for name, text := range map[string]string{"password": "secret\n", "wrong": "guess\n"} {
		if err := os.WriteFile(ca.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secure := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	good := Broker{ClientID: "site.gw", User: "site.gw", PasswordFile: ca.path("password"),
		CAFile: ca.path("ca.pem"), CertFile: ca.path("gw.pem"), KeyFile: ca.path("gw.key")}
	for _, tt := range []struct {
		name   string
		deaf   bool
		change func(*Broker)
		want   string // in the error; "" means it connects
	}{
		{"certificate and account", false, func(*Broker) {}, ""},
		{"wrong password", false, func(b *Broker) { b.PasswordFile = ca.path("wrong") }, "not Authorized"},
		{"no such password file", false, func(b *Broker) { b.PasswordFile = ca.path("none") }, "read password"},
		{"no client certificate", false, func(b *Broker) { b.CertFile, b.KeyFile = "", "" }, "certificate"},
		{"unknown authority", false, func(b *Broker) { b.CAFile = "" }, "unknown authority"},
		{"CA file that is none", false, func(b *Broker) { b.CAFile = ca.path("password") }, "no PEM certificate"},
		{"subscription refused", true, func(*Broker) {}, "the broker refused it; check its access list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := publishtest.StartGuardedBroker(t, secure, &doorman{deaf: tt.deaf})
			cfg := good
			cfg.URL = strings.Replace(b.URL(), "mqtt://", "mqtts://", 1)
			tt.change(&cfg)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			session := sparkplug.NewSession("site", "gw", 0)
			l, err := connect(ctx, cfg, false, session.Will(time.Now()), sparkplug.CommandFilter("site", "gw"))
			if err == nil {
				defer l.close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
