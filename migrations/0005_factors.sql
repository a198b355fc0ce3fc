-- What people prove besides a password. All of it goes with the person.

-- Confirmed secrets alone: one that is being set up travels through the page, sealed. last_step: a code counts once.
CREATE TABLE totp_secrets (
  user_id    TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  sealed     TEXT NOT NULL,
  last_step  BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);

-- slot: the law that nobody has more than twenty, kept by the database too.
CREATE TABLE passkeys (
  id           TEXT PRIMARY KEY,
  user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  slot         BIGINT NOT NULL CHECK (slot BETWEEN 0 AND 19),
  public_key   TEXT NOT NULL,
  counter      BIGINT NOT NULL,
  transports   TEXT NOT NULL,
  name         TEXT NOT NULL,
  backed_up    BIGINT NOT NULL,
  created_at   BIGINT NOT NULL,
  last_used_at BIGINT,
  UNIQUE (user_id, slot)
);

-- One set a person: the position keeps a second set from standing beside the first.
CREATE TABLE recovery_codes (
  user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  hash     TEXT NOT NULL,
  PRIMARY KEY (user_id, position)
);
