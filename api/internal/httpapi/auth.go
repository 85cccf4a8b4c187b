package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"yunhe/internal/access"
)

// caller is who makes a request.
type caller struct {
	access.Key
	expires time.Time // of the session; zero for a key sent with the request
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// authenticate lets operations that ask for a key run with a valid one only.
func (s *server) authenticate(ctx huma.Context, next func(huma.Context)) {
	gc := humagin.Unwrap(ctx)
	callOf(ctx.Context()).route = ctx.Operation().Path
	if sec := ctx.Operation().Security; len(sec) == 0 || len(sec[0]) == 0 {
		next(ctx)
		return
	}
	who, ok := s.identify(gc.Request)
	if !ok {
		writeProblem(gc.Writer, gc.Request, &huma.ErrorModel{Status: http.StatusUnauthorized, Title: "Unauthorized", Detail: textNoKey})
		return
	}
	callOf(ctx.Context()).keyID = who.ID
	if ok, wait := s.byKey.allow(who.ID, s.cfg.Clock()); !ok {
		writeProblem(gc.Writer, gc.Request, s.tooMany(gc.Writer, "key", wait))
		return
	}
	next(huma.WithValue(ctx, callerKey{}, who))
}

// identify finds the caller by the Authorization header or, only where there
// is none, by the session cookie.
func (s *server) identify(r *http.Request) (caller, bool) {
	if header := r.Header.Values("Authorization"); len(header) > 0 {
		scheme, key, _ := strings.Cut(header[0], " ")
		if len(header) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return caller{}, false
		}
		k, ok := s.cfg.Access.Check(strings.TrimSpace(key))
		return caller{Key: k}, ok
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return caller{}, false
	}
	id, expires, ok := s.sessions.open(cookie.Value, s.cfg.Clock())
	if !ok {
		return caller{}, false
	}
	k, ok := s.cfg.Access.Lookup(id)
	return caller{Key: k, expires: expires}, ok
}

// stillValid reports whether a caller whose answer is still being sent may go
// on reading.
func (s *server) stillValid(c caller) bool {
	k, ok := s.cfg.Access.Lookup(c.ID)
	return ok && k.ID == c.ID && (c.expires.IsZero() || s.cfg.Clock().Before(c.expires))
}
