package httpapi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"time"
)

// errGone says that the client no longer takes the answer.
var errGone = errors.New("client is gone")

// body is the way of a streamed answer out of the house. A client that takes
// nothing for longer than wait is cut off; how long the whole takes is its own
// affair.
type body struct {
	w       http.ResponseWriter
	control *http.ResponseController
	wait    time.Duration
	sum     hash.Hash
	started bool
}

func newBody(w http.ResponseWriter, wait time.Duration) *body {
	return &body{w: w, control: http.NewResponseController(w), wait: wait, sum: sha256.New()}
}

// Write sends b now.
func (o *body) Write(b []byte) (int, error) {
	o.started = true
	o.sum.Write(b)
	// Deadlines are wall time of the connection, whatever clock the rest uses.
	if err := o.control.SetWriteDeadline(time.Now().Add(o.wait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("%w: %w", errGone, err)
	}
	n, err := o.w.Write(b)
	if err == nil {
		err = o.control.Flush()
	}
	if err != nil {
		return n, fmt.Errorf("%w: %w", errGone, err)
	}
	return n, nil
}
