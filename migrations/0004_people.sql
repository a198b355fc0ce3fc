-- People sign in. One row a browser that somebody is signed in with; the cookie holds the secret.
CREATE TABLE sign_ins (
  id              TEXT PRIMARY KEY,
  secret_hash     TEXT NOT NULL UNIQUE,
  user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at      BIGINT NOT NULL,
  auth_time       BIGINT NOT NULL,
  amr             TEXT NOT NULL,
  expires_at      BIGINT NOT NULL,
  idle_expires_at BIGINT NOT NULL,
  ended_at        BIGINT,
  ended_for       TEXT,
  ip              TEXT NOT NULL,
  user_agent      TEXT NOT NULL
);

CREATE INDEX sign_ins_by_user ON sign_ins (user_id);
CREATE INDEX sign_ins_by_end ON sign_ins (idle_expires_at);

-- The browser a session came from; NULL where there was none (the password grant).
ALTER TABLE sessions ADD COLUMN sign_in_id TEXT;
ALTER TABLE sessions ADD COLUMN amr TEXT NOT NULL DEFAULT '';
-- Names of claims that the client asked userinfo for, besides those of its scopes.
ALTER TABLE sessions ADD COLUMN claims TEXT NOT NULL DEFAULT '';
-- 1: outlives the sign-in (offline_access).
ALTER TABLE sessions ADD COLUMN offline BIGINT NOT NULL DEFAULT 0;
-- 1: the client wants to be told when it ends (back-channel logout).
ALTER TABLE sessions ADD COLUMN notify BIGINT NOT NULL DEFAULT 0;

CREATE INDEX sessions_by_sign_in ON sessions (sign_in_id);

-- Authorization codes, by the SHA-256 of what the client was given.
CREATE TABLE codes (
  hash           TEXT PRIMARY KEY,
  client_id      TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  sign_in_id     TEXT NOT NULL REFERENCES sign_ins (id) ON DELETE CASCADE,
  session_id     TEXT NOT NULL,
  code_challenge TEXT,
  wrong_guesses  BIGINT NOT NULL,
  details        TEXT NOT NULL,
  expires_at     BIGINT NOT NULL,
  used_at        BIGINT
);

CREATE INDEX codes_by_end ON codes (expires_at);

-- RFC 9126.
CREATE TABLE pushed_requests (
  hash       TEXT PRIMARY KEY,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  parameters TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT
);

CREATE INDEX pushed_requests_by_end ON pushed_requests (expires_at);

-- What a person has allowed a client, remembered.
CREATE TABLE consents (
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  scope      TEXT NOT NULL,
  granted_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id)
);

-- Clients to be told that a session ended; a row is there until the client was told, or could not be.
CREATE TABLE logout_notices (
  session_id TEXT PRIMARY KEY,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  user_id    TEXT NOT NULL,
  attempts   BIGINT NOT NULL,
  due_at     BIGINT NOT NULL
);

CREATE INDEX logout_notices_by_time ON logout_notices (due_at);

ALTER TABLE users ADD COLUMN name TEXT;
ALTER TABLE users ADD COLUMN email_verified BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;

-- 1: who has the role must sign in with a second factor.
ALTER TABLE roles ADD COLUMN second_factor BIGINT NOT NULL DEFAULT 0;
