-- The records of a collector, schema version 1. Times are milliseconds since
-- 1970, UTC. Numbers of epochs and entries are below 2^53.

CREATE TABLE gateways (
  id              INTEGER PRIMARY KEY,
  site            TEXT NOT NULL,
  gateway         TEXT NOT NULL,
  unsigned        INTEGER NOT NULL DEFAULT 0, -- another Sparkplug node
  online          INTEGER NOT NULL DEFAULT 0,
  last_seen       INTEGER NOT NULL DEFAULT 0,
  version         TEXT NOT NULL DEFAULT '',
  clock_state     TEXT NOT NULL DEFAULT '',
  clock_offset_ms INTEGER,
  backlog         INTEGER NOT NULL DEFAULT 0,
  last_error      TEXT NOT NULL DEFAULT '',
  last_error_at   INTEGER NOT NULL DEFAULT 0,
  UNIQUE (site, gateway)
) STRICT;

CREATE TABLE devices (
  id           INTEGER PRIMARY KEY,
  site         TEXT NOT NULL,
  gateway      TEXT NOT NULL,
  device       TEXT NOT NULL,
  unsigned     INTEGER NOT NULL DEFAULT 0,
  kind         TEXT NOT NULL,
  definition   BLOB,                       -- hash of the newest
  defined      INTEGER NOT NULL DEFAULT 0, -- when that was recorded
  last_reading INTEGER NOT NULL DEFAULT 0,
  UNIQUE (site, gateway, device, unsigned)
) STRICT;

-- Every definition ever stored: batches cite its hash.
CREATE TABLE definitions (
  hash     BLOB PRIMARY KEY,
  data     BLOB NOT NULL, -- as signed
  recorded INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a start of a gateway's journal. The range sets are written now and
-- then; table seen is exact, and what the set lacks is read from there.
CREATE TABLE epochs (
  id        INTEGER PRIMARY KEY,
  gateway   INTEGER NOT NULL REFERENCES gateways (id),
  jid       INTEGER NOT NULL,
  journal   TEXT NOT NULL DEFAULT '',
  prev_jid  INTEGER NOT NULL DEFAULT 0,
  prev_jseq INTEGER NOT NULL DEFAULT 0,
  seen      TEXT NOT NULL DEFAULT '',
  held      TEXT NOT NULL DEFAULT '',
  lost      TEXT NOT NULL DEFAULT '',
  missing   TEXT NOT NULL DEFAULT '',
  UNIQUE (gateway, jid)
) STRICT;
CREATE INDEX epochs_prev ON epochs (gateway, prev_jid) WHERE prev_jid > 0;

-- Every number stored, with the hash that tells a duplicate from an
-- equivocation and the place of the signed bytes in the evidence store.
CREATE TABLE seen (
  epoch   INTEGER NOT NULL,
  jseq    INTEGER NOT NULL,
  hash    BLOB NOT NULL,
  segment INTEGER NOT NULL,
  offset  INTEGER NOT NULL,
  PRIMARY KEY (epoch, jseq)
) STRICT, WITHOUT ROWID;

-- 15-minute slots of a device whose counters were touched since their
-- intervals were made.
CREATE TABLE dirty (
  device INTEGER NOT NULL,
  slot   INTEGER NOT NULL,
  PRIMARY KEY (device, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  id      INTEGER PRIMARY KEY,
  gateway INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  type    TEXT NOT NULL,
  jid     INTEGER NOT NULL,
  jseq    INTEGER NOT NULL,
  text    TEXT NOT NULL,
  alarm   INTEGER NOT NULL
) STRICT;
CREATE INDEX events_gateway ON events (gateway, at);

-- What ties the monotonic time of a boot to the wall clock, and the entries
-- of boots for which that is not known yet, or whose turn has not come.
CREATE TABLE boots (
  gateway INTEGER NOT NULL,
  boot    BLOB NOT NULL,
  mono_ms INTEGER NOT NULL,
  wall_ms INTEGER NOT NULL,
  PRIMARY KEY (gateway, boot)
) STRICT, WITHOUT ROWID;

CREATE TABLE untimed (
  gateway INTEGER NOT NULL,
  boot    BLOB NOT NULL,
  jid     INTEGER NOT NULL,
  jseq    INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  offset  INTEGER NOT NULL,
  PRIMARY KEY (gateway, boot, jid, jseq)
) STRICT, WITHOUT ROWID;
