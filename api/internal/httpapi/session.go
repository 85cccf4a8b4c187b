package httpapi

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"yunhe/internal/access"
)

const (
	sessionCookie = "yunhe_session"
	// sessionLength is one shift of a duty officer.
	sessionLength = 12 * time.Hour
)

// sessions makes and checks session cookies: key id and end, authenticated
// with a secret of this process. Nothing is stored, so nothing can fill up; a
// restart ends all sessions, and a revoked key ends its own at once.
type sessions struct{ secret []byte }

func newSessions() sessions {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return sessions{b}
}

func (s sessions) seal(keyID string, end time.Time) string {
	body := keyID + "." + strconv.FormatInt(end.Unix(), 10)
	return body + "." + base64.RawURLEncoding.EncodeToString(s.tag(body))
}

func (s sessions) open(value string, now time.Time) (keyID string, end time.Time, ok bool) {
	i := strings.LastIndexByte(value, '.')
	if i < 0 || len(value) > 256 {
		return "", time.Time{}, false
	}
	tag, err := base64.RawURLEncoding.DecodeString(value[i+1:])
	if err != nil || !hmac.Equal(tag, s.tag(value[:i])) {
		return "", time.Time{}, false
	}
	keyID, unix, _ := strings.Cut(value[:i], ".")
	secs, err := strconv.ParseInt(unix, 10, 64)
	end = time.Unix(secs, 0)
	return keyID, end, err == nil && now.Before(end)
}

func (s sessions) tag(body string) []byte {
	m := hmac.New(sha256.New, s.secret)
	m.Write([]byte("yunhe session\n" + body))
	return m.Sum(nil)
}

// Who tells a caller who it is.
type Who struct {
	KeyID    string     `json:"key_id" doc:"Public part of the API key"`
	Person   string     `json:"person" doc:"Person the key belongs to"`
	Role     string     `json:"role" enum:"operator,water,accountant,verifier,admin" doc:"What the person does"`
	AllSites bool       `json:"all_sites" doc:"The key reads every site"`
	Sites    []string   `json:"sites" nullable:"false" doc:"Ids of the sites the key reads now"`
	Expires  *time.Time `json:"expires,omitempty" doc:"End of the session, RFC 3339 UTC; absent for a key sent with the request"`
}

func (s *server) who(k access.Key, expires time.Time) Who {
	w := Who{KeyID: k.ID, Person: k.Person, Role: string(k.Role), AllSites: k.AllSites, Sites: s.sitesOf(k)}
	if !expires.IsZero() {
		end := expires.UTC()
		w.Expires = &end
	}
	return w
}

type sessionOutput struct {
	Cookie string `header:"Set-Cookie" doc:"yunhe_session: HttpOnly, SameSite=Strict, 12 hours"`
	Body   Who
}

type whoOutput struct{ Body Who }

type endOutput struct {
	Cookie string `header:"Set-Cookie" doc:"Removes yunhe_session"`
}

func (s *server) registerSession(api huma.API) {
	const path = "/api/v1/session"
	register(s, api, keyed(huma.Operation{
		OperationID: "open-session", Method: http.MethodPost, Path: path, Tags: []string{"session"},
		Summary:     "Open a session",
		Description: "For pages in a browser: trades the API key in the Authorization header for a cookie that JavaScript cannot read. Only from the same origin, and only with a key: a session cannot be prolonged by itself. It ends after 12 hours, with a restart of the server, or when the key is revoked.",
		Middlewares: huma.Middlewares{s.sameOrigin},
	}), s.openSession)
	register(s, api, keyed(huma.Operation{
		OperationID: "get-session", Method: http.MethodGet, Path: path, Tags: []string{"session"},
		Summary: "Tell who is calling", Description: "Person, role and sites of the key behind this request.",
	}), func(ctx context.Context, _ *struct{}) (*whoOutput, error) {
		c := callerOf(ctx)
		return &whoOutput{Body: s.who(c.Key, c.expires)}, nil
	})
	register(s, api, huma.Operation{
		OperationID: "close-session", Method: http.MethodDelete, Path: path, Tags: []string{"session"},
		Summary: "Close the session", Description: "Removes the cookie. Only from the same origin.",
		DefaultStatus: http.StatusNoContent, Middlewares: huma.Middlewares{s.sameOrigin},
	}, func(ctx context.Context, _ *struct{}) (*endOutput, error) {
		return &endOutput{Cookie: s.cookie(ctx, "", time.Unix(1, 0))}, nil
	})
}

func (s *server) openSession(ctx context.Context, _ *struct{}) (*sessionOutput, error) {
	c := callerOf(ctx)
	if !c.expires.IsZero() {
		return nil, problem(http.StatusUnauthorized, "A session is opened with a key, not with another session: send Authorization: Bearer yh_….")
	}
	end := s.cfg.Clock().Add(sessionLength).Truncate(time.Second)
	return &sessionOutput{Cookie: s.cookie(ctx, s.sessions.seal(c.ID, end), end), Body: s.who(c.Key, end)}, nil
}

// cookie writes the session cookie; Secure as soon as the connection, or the
// proxy in front, is TLS. Loopback without TLS stays usable.
func (s *server) cookie(ctx context.Context, value string, end time.Time) string {
	secure, _ := ctx.Value(tlsKey{}).(bool)
	return (&http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", Expires: end, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: secure || s.cfg.SecureCookie,
	}).String()
}

type tlsKey struct{}

// sameOrigin refuses what another web page makes a browser send.
func (s *server) sameOrigin(ctx huma.Context, next func(huma.Context)) {
	r, w := requestOf(ctx)
	if err := s.crossOrigin.Check(r); err != nil {
		writeProblem(w, r, &huma.ErrorModel{Status: http.StatusForbidden, Title: "Forbidden", Detail: "A page of another origin may not open or close a session here."})
		return
	}
	next(huma.WithValue(ctx, tlsKey{}, r.TLS != nil))
}
