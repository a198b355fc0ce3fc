-- expand
-- What all but the private keys is derived from, sealed with the master key: another master key seals it anew, and nothing
-- else changes. Never empty once there is a ring.
CREATE TABLE roots (
  number      BIGINT PRIMARY KEY,
  sealed      TEXT NOT NULL,
  made_at     BIGINT NOT NULL,
  -- Read by every node before any node writes with it.
  writes_from BIGINT NOT NULL,
  -- Status lists with this number and those after it are of this root, up to the next root's.
  lists_from  BIGINT NOT NULL,
  -- 1: what was written with it is not ours any more.
  voided      BIGINT NOT NULL
);

INSERT INTO revisions (name, value) VALUES ('roots', 1);

-- The root that a row was written with; before there were any, the master key itself was what is now the first.
ALTER TABLE totp_secrets ADD COLUMN root BIGINT NOT NULL DEFAULT 1;
ALTER TABLE recovery_codes ADD COLUMN root BIGINT NOT NULL DEFAULT 1;

CREATE INDEX totp_secrets_by_root ON totp_secrets (root);
CREATE INDEX recovery_codes_by_root ON recovery_codes (root);

-- Fingerprints of the master keys that a node holds; a node of a version before says none.
ALTER TABLE nodes ADD COLUMN master_keys TEXT NOT NULL DEFAULT '';
