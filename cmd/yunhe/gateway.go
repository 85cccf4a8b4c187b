package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"yunhe/collector"
	"yunhe/internal/broker"
	"yunhe/internal/evidence"
	"yunhe/internal/wholefile"
)

type gatewayCommand struct {
	Enroll  gatewayEnroll  `cmd:"" help:"Trust the key of a gateway, from now on and for what it kept before."`
	List    gatewayList    `cmd:"" help:"List enrolled keys."`
	Revoke  gatewayRevoke  `cmd:"" help:"End the trust in a key."`
	Account gatewayAccount `cmd:"" help:"Give a gateway or the collector an account at the broker; prints the password once."`
	ACL     gatewayACL     `cmd:"" name:"acl" help:"Write mosquitto's acl_file from the enrolled gateways."`
}

type enrolmentFile struct {
	File string `help:"Enrolment file, as keys_file of the collector's configuration names it." type:"path" required:"" env:"YUNHE_ENROLMENT_FILE"`
}

type gatewayEnroll struct {
	enrolmentFile
	Site    string `arg:"" help:"Site the gateway belongs to."`
	Gateway string `arg:"" help:"The gateway's id."`
	Key     string `arg:"" help:"What 'yunhe-edge key' printed, in quotes, or @FILE."`
}

// Run enrols the key and shows its fingerprint, to be compared with the one
// on the gateway.
func (c gatewayEnroll) Run(t *terminal) error {
	key := c.Key
	if path, ok := strings.CutPrefix(key, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read public key: %w", err)
		}
		key = string(b)
	}
	line, err := publicKeyLine(key)
	if err != nil {
		return err
	}
	e, err := collector.Enroll(c.File, c.Site, c.Gateway, line, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "enrolled %s of %s with %s\nCompare the fingerprint with what 'yunhe-edge key' shows on the gateway.\n", e.Gateway, e.Site, e.Fingerprint)
	return err
}

// publicKeyLine takes what `yunhe-edge key` printed, whole or its first line
// alone. A second line must be the fingerprint of the first.
func publicKeyLine(text string) (string, error) {
	line, fingerprint, both := strings.Cut(strings.TrimSpace(text), "\n")
	line, fingerprint = strings.TrimSpace(line), strings.TrimSpace(fingerprint)
	if !both {
		return line, nil
	}
	key, err := evidence.ParsePublicKey(line)
	if err != nil {
		return "", err
	}
	if key.Fingerprint() != fingerprint {
		return "", fmt.Errorf("the key has the fingerprint %s, the line under it says %.60q: copy again what 'yunhe-edge key' prints", key.Fingerprint(), fingerprint)
	}
	return line, nil
}

type gatewayList struct{ enrolmentFile }

// Run prints a table.
func (c gatewayList) Run(t *terminal) error {
	all, err := collector.ListKeys(c.File)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tGATEWAY\tFINGERPRINT\tFROM\tREVOKED\tCOMPROMISED SINCE")
	for _, e := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Site, e.Gateway, e.Fingerprint, date(e.From), maybe(e.Revoked), maybe(e.CompromisedSince))
	}
	return w.Flush()
}

type gatewayRevoke struct {
	enrolmentFile
	Fingerprint      string    `arg:"" help:"SHA256:… as list shows it."`
	CompromisedSince time.Time `help:"The key was stolen at this time (RFC 3339): nothing that arrives under it any more is stored."`
}

// Run revokes the key.
func (c gatewayRevoke) Run(t *terminal) error {
	if err := collector.Revoke(c.File, c.Fingerprint, c.CompromisedSince, time.Now()); err != nil {
		return err
	}
	t.logger.Info("key revoked", "fingerprint", c.Fingerprint)
	return nil
}

type gatewayAccount struct {
	Passwords string `help:"Password file of the broker." type:"path" required:""`
	Name      string `arg:"" help:"SITE.GATEWAY, or the name of the collector's account."`
	Into      string `help:"Write the password to this file (mode 0600) instead of printing it." type:"path"`
}

// Run sets a fresh random password.
func (c gatewayAccount) Run(t *terminal) error {
	password, err := broker.SetPassword(c.Passwords, c.Name)
	if err != nil {
		return err
	}
	if c.Into != "" {
		return wholefile.Write(c.Into, []byte(password+"\n"), 0o600)
	}
	t.logger.Info("account set; the password is shown this once", "name", c.Name)
	_, err = fmt.Fprintln(t.out, password)
	return err
}

type gatewayACL struct {
	enrolmentFile
	Host      string   `help:"Sparkplug host id of the collector." required:""`
	Collector string   `help:"Account name of the collector." default:"collector"`
	Site      []string `help:"A site of the collector; repeat for more." required:""`
}

// Run prints the file.
func (c gatewayACL) Run(t *terminal) error {
	all, err := collector.ListKeys(c.File)
	if err != nil {
		return err
	}
	var users []collector.ACLUser
	seen := map[string]bool{}
	for _, e := range all {
		name := broker.AccountName(e.Site, e.Gateway)
		if e.Revoked != nil || seen[name] {
			continue
		}
		seen[name] = true
		users = append(users, collector.ACLUser{User: name, Site: e.Site, Gateway: e.Gateway})
	}
	text, err := collector.GatewayACL(c.Collector, c.Host, c.Site, users)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(t.out, text)
	return err
}

// maybe formats a time that may not be there.
func maybe(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return date(*at)
}
