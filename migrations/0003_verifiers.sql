-- Verifiers that made themselves known, and the last ring that each fetched.
CREATE TABLE verifiers (
  name         TEXT NOT NULL,
  instance     TEXT NOT NULL,
  ring_version BIGINT NOT NULL,
  seen_at      BIGINT NOT NULL,
  PRIMARY KEY (name, instance)
);

CREATE INDEX verifiers_by_age ON verifiers (seen_at);
