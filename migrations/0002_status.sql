-- Token status lists. Positions are handed out in order, one counter a kind; what tokens carry is a permutation.
CREATE TABLE status_cursors (
  kind          TEXT PRIMARY KEY,
  next_position BIGINT NOT NULL
);

INSERT INTO status_cursors (kind, next_position) VALUES ('session', 0);

INSERT INTO status_cursors (kind, next_position) VALUES ('token', 0);

-- One row a list; expires_at: no token that refers to it lives longer.
CREATE TABLE status_lists (
  list       BIGINT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

-- Runs of positions that a node leased for the tokens of one client; issuing them writes nothing.
CREATE TABLE status_blocks (
  list       BIGINT NOT NULL,
  start      BIGINT NOT NULL,
  size       BIGINT NOT NULL,
  client_id  TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_in BIGINT,
  PRIMARY KEY (list, start)
);

CREATE INDEX status_blocks_by_client ON status_blocks (client_id);
CREATE INDEX status_blocks_by_end ON status_blocks (expires_at);
CREATE INDEX status_blocks_by_revision ON status_blocks (revoked_in);

-- Indices that were taken back, one by one.
CREATE TABLE status_entries (
  list       BIGINT NOT NULL,
  idx        BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_in BIGINT NOT NULL,
  PRIMARY KEY (list, idx)
);

CREATE INDEX status_entries_by_end ON status_entries (expires_at);
CREATE INDEX status_entries_by_revision ON status_entries (revoked_in);

-- The index that all tokens of a sign-in carry.
ALTER TABLE sessions ADD COLUMN status_list BIGINT;
ALTER TABLE sessions ADD COLUMN status_idx BIGINT;

INSERT INTO revisions (name, value) VALUES ('status', 1);
