-- Portable SQL: TEXT ids, JSON as TEXT, BIGINT seconds since 1970, 0/1 for booleans, time as an argument.

-- Grows with every change, in the same batch as the change: running nodes follow these two numbers.
CREATE TABLE revisions (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);

INSERT INTO revisions (name, value) VALUES ('registry', 1);

-- One row at most: the version every change of the ring is compared with and swapped against.
CREATE TABLE ring (
  id         TEXT PRIMARY KEY,
  version    BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE ring_keys (
  kid          TEXT PRIMARY KEY,
  alg          TEXT NOT NULL,
  state        TEXT NOT NULL,
  public_jwk   TEXT NOT NULL,
  sealed       TEXT,
  created_at   BIGINT NOT NULL,
  published_at BIGINT NOT NULL,
  published_in BIGINT NOT NULL,
  signs_from   BIGINT,
  stopped_at   BIGINT,
  tokens_until BIGINT NOT NULL,
  left_at      BIGINT
);

-- The law of the ring, kept by the database too: one active key, one next key.
CREATE UNIQUE INDEX ring_keys_one_active ON ring_keys (state) WHERE state = 'active';
CREATE UNIQUE INDEX ring_keys_one_next ON ring_keys (state) WHERE state = 'next';

CREATE TABLE apis (
  identifier       TEXT PRIMARY KEY,
  access_token_ttl BIGINT,
  created_at       BIGINT NOT NULL
);

CREATE TABLE api_scopes (
  scope    TEXT PRIMARY KEY,
  api      TEXT NOT NULL REFERENCES apis (identifier) ON DELETE CASCADE,
  position BIGINT NOT NULL
);

CREATE TABLE clients (
  id          TEXT PRIMARY KEY,
  secret_hash TEXT,
  disabled    BIGINT NOT NULL,
  metadata    TEXT NOT NULL,
  created_at  BIGINT NOT NULL
);

CREATE TABLE roles (
  name       TEXT PRIMARY KEY,
  scopes     TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  username      TEXT NOT NULL UNIQUE,
  email         TEXT,
  password_hash TEXT NOT NULL,
  disabled      BIGINT NOT NULL,
  created_at    BIGINT NOT NULL
);

CREATE TABLE user_roles (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role    TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  PRIMARY KEY (user_id, role)
);

CREATE INDEX user_roles_by_role ON user_roles (role);

CREATE TABLE sessions (
  id              TEXT PRIMARY KEY,
  client_id       TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  scope           TEXT NOT NULL,
  audience        TEXT NOT NULL,
  generation      BIGINT NOT NULL,
  rotated_at      BIGINT NOT NULL,
  created_at      BIGINT NOT NULL,
  auth_time       BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL,
  idle_expires_at BIGINT NOT NULL,
  revoked_at      BIGINT,
  revoked_for     TEXT
);

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_client ON sessions (client_id);
CREATE INDEX sessions_by_end ON sessions (idle_expires_at);

CREATE TABLE single_use (
  id         TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

CREATE INDEX single_use_by_end ON single_use (expires_at);

CREATE TABLE revoked_tokens (
  jti        TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

CREATE INDEX revoked_tokens_by_end ON revoked_tokens (expires_at);

-- One row a bucket: when it will be full again (generic cell rate algorithm).
CREATE TABLE throttle (
  key     TEXT PRIMARY KEY,
  full_at BIGINT NOT NULL
);

CREATE INDEX throttle_by_end ON throttle (full_at);

CREATE TABLE familiar_places (
  key        TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

CREATE INDEX familiar_places_by_end ON familiar_places (expires_at);
