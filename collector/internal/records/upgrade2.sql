-- From schema version 1: all evidence was in one log, which is kept.
ALTER TABLE seen ADD COLUMN log INTEGER NOT NULL DEFAULT 0;
ALTER TABLE untimed ADD COLUMN log INTEGER NOT NULL DEFAULT 0;
CREATE TABLE raw_segments (
  segment INTEGER PRIMARY KEY,
  newest  INTEGER NOT NULL
) STRICT;
