-- expand
-- The audit log. Rows are added behind the last one, and deleted only from the beginning, by age. hash: of the row before
-- and all of this one. What is beyond the budget of a frequent event is one row with its count, from since to at.
CREATE TABLE audit (
  seq       BIGINT PRIMARY KEY,
  since     BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  event     TEXT NOT NULL,
  actor     TEXT,
  sub       TEXT,
  client_id TEXT,
  fields    TEXT NOT NULL,
  count     BIGINT NOT NULL,
  hash      TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at, seq);
CREATE INDEX audit_by_sub ON audit (sub, seq) WHERE sub IS NOT NULL;
CREATE INDEX audit_by_actor ON audit (actor, seq) WHERE actor IS NOT NULL;
CREATE INDEX audit_by_client ON audit (client_id, seq) WHERE client_id IS NOT NULL;

-- Where the log ends, and where it begins since rows were deleted. mac: under a key that is not in the database.
CREATE TABLE audit_head (
  id        TEXT PRIMARY KEY CHECK (id = 'main'),
  seq       BIGINT NOT NULL,
  hash      TEXT NOT NULL,
  base_seq  BIGINT NOT NULL,
  base_hash TEXT NOT NULL,
  mac       TEXT
);
INSERT INTO audit_head (id, seq, hash, base_seq, base_hash) VALUES ('main', 0, '', 0, '');
