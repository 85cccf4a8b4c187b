package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"yunhe/collector/internal/ingest"
	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
)

// QuarantineItem is one refused message: its id, class (held: validly signed;
// sample: not), outcome, reason, topic, time and, if known, entry and key.
type QuarantineItem = intake.Item

// ReplayResult is what became of one item.
type ReplayResult struct {
	ID      evidence.Hash `json:"id"`
	Outcome string        `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	Gone    bool          `json:"gone"` // it is stored now and no longer in quarantine
}

// The control socket: HTTP on a unix socket in the state directory, mode 0600,
// so whoever may read the state may command the collector, and nobody else.
const (
	controlSocket  = "control.sock"
	pathQuarantine = "/quarantine"
	pathReplay     = "/quarantine/replay"
	maxControl     = 64 << 20 // bytes of an answer
	maxReplayBody  = 4 << 20  // bytes of a request
	replayTimeout  = 30 * time.Second
)

// replayRequest names items; none means all.
type replayRequest struct {
	IDs []evidence.Hash `json:"ids"`
}

// QuarantineList asks the collector that runs on stateDir what its quarantine
// holds, oldest first, without the messages themselves.
func QuarantineList(ctx context.Context, stateDir string) ([]QuarantineItem, error) {
	var out []QuarantineItem
	if err := callControl(ctx, stateDir, http.MethodGet, pathQuarantine, nil, &out); err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	return out, nil
}

// QuarantineReplay asks the collector that runs on stateDir to take items
// through the pipeline once more, after the cause was mended (a key enrolled,
// an alias added); no ids means all. What is stored then leaves the quarantine,
// and its gateway gets its acknowledgement.
func QuarantineReplay(ctx context.Context, stateDir string, ids ...evidence.Hash) ([]ReplayResult, error) {
	var out []ReplayResult
	if err := callControl(ctx, stateDir, http.MethodPost, pathReplay, replayRequest{ids}, &out); err != nil {
		return nil, fmt.Errorf("replay quarantine: %w", err)
	}
	return out, nil
}

func callControl(ctx context.Context, stateDir, method, path string, in, out any) error {
	socket := filepath.Join(stateDir, controlSocket)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://collector"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no collector answers at %s; start it first: %w", socket, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxControl))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the collector answers %s: %s", resp.Status, bytes.TrimSpace(b))
	}
	return json.Unmarshal(b, out)
}

func (c *Collector) listenControl() (net.Listener, error) {
	path := filepath.Join(c.cfg.StateDir, controlSocket)
	// The lock on the evidence store is ours, so a socket that is there is
	// left over from a process that was killed.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open control socket: %w", err), l.Close())
	}
	return l, nil
}

func (c *Collector) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathQuarantine, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, c.quarantine.List())
	})
	mux.HandleFunc("POST "+pathReplay, func(w http.ResponseWriter, q *http.Request) {
		var req replayRequest
		if err := json.NewDecoder(io.LimitReader(q.Body, maxReplayBody)).Decode(&req); err != nil {
			http.Error(w, "the request cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		out, err := c.replay(q.Context(), req.IDs)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, out)
	})
	return mux
}

// replayWindow is how many items are under way at once.
const replayWindow = 256

// replay takes items through the pipeline, oldest first: a definition comes
// before the batches that cite it.
func (c *Collector) replay(ctx context.Context, ids []evidence.Hash) ([]ReplayResult, error) {
	if len(ids) == 0 {
		for _, it := range c.quarantine.List() {
			ids = append(ids, it.ID)
		}
	}
	out := make([]ReplayResult, 0, len(ids))
	for window := range slices.Chunk(ids, replayWindow) {
		results, err := c.replaySome(ctx, window)
		out = append(out, results...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (c *Collector) replaySome(ctx context.Context, ids []evidence.Hash) ([]ReplayResult, error) {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	out := make([]ReplayResult, len(ids))
	pending := make([]<-chan ingest.Result, len(ids))
	for i, id := range ids {
		out[i] = ReplayResult{ID: id}
		it, err := c.quarantine.Get(id)
		if err != nil {
			out[i].Outcome, out[i].Reason = "missing", err.Error()
			continue
		}
		if pending[i], err = c.pipeline.Replay(ctx, it); err != nil {
			return out[:i], errBusy
		}
	}
	for i, done := range pending {
		if done == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return out[:i], errBusy
		case r := <-done:
			out[i].Outcome, out[i].Reason = string(r.Outcome), r.Reason
			out[i].Gone = r.Outcome == ingest.Stored || r.Outcome == ingest.Duplicate
		}
		if out[i].Gone {
			if err := c.quarantine.Remove(ids[i]); err != nil {
				return out[:i], err
			}
		}
	}
	return out, nil
}

var errBusy = errors.New("the collector does not get to it: is a store down? See its log, then try again")

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the asker has gone
}
