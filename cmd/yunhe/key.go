package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"yunhe/internal/access"
)

type keyCommand struct {
	Create keyCreate `cmd:"" help:"Make a key and print it once."`
	List   keyList   `cmd:"" help:"List keys, never their secrets."`
	Revoke keyRevoke `cmd:"" help:"End a key at once."`
}

type keyFile struct {
	File string `help:"File of hashed keys, as keys_file of the API's configuration names it." type:"path" required:"" env:"YUNHE_KEYS_FILE"`
}

type keyCreate struct {
	keyFile
	Person   string   `help:"Who will use it: a person, not a team." required:""`
	Role     string   `help:"operator, water, accountant, verifier or admin." required:""`
	Site     []string `help:"A site the key may read; repeat for more." xor:"sites"`
	AllSites bool     `help:"The key may read every site." xor:"sites"`
}

// Run prints the new key on standard output and what it is on the log.
func (c keyCreate) Run(t *terminal) error {
	role, err := access.ParseRole(c.Role)
	if err != nil {
		return err
	}
	secret, k, err := access.Create(c.File, access.Request{Person: c.Person, Role: role, Sites: c.Site, AllSites: c.AllSites}, time.Now())
	if err != nil {
		return err
	}
	t.logger.Info("key made; it is shown this once", "id", k.ID, "person", k.Person, "role", k.Role)
	_, err = fmt.Fprintln(t.out, secret)
	return err
}

type keyList struct{ keyFile }

// Run prints a table.
func (c keyList) Run(t *terminal) error {
	keys, err := access.List(c.File)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tPERSON\tROLE\tSITES\tCREATED\tREVOKED")
	for _, k := range keys {
		sites := strings.Join(k.Sites, ",")
		if k.AllSites {
			sites = "(all)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Person, k.Role, sites, date(k.Created), date(k.Revoked))
	}
	return w.Flush()
}

type keyRevoke struct {
	keyFile
	ID string `arg:"" help:"The key's id, the part between yh_ and the next _."`
}

// Run ends the key.
func (c keyRevoke) Run(t *terminal) error {
	k, err := access.Revoke(c.File, c.ID, time.Now())
	if err != nil {
		return err
	}
	t.logger.Info("key revoked", "id", k.ID, "person", k.Person)
	return nil
}

// date formats a time for tables; none is a dash.
func date(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04Z")
}
