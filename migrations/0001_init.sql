-- expand
-- This file is not edited once it is released: a change of the schema is a new migration (docs/upgrades.md). A new column of the
-- clients, for example, is a migration, src/store/contracts/clients.ts and src/store/sql/clients.ts. A member of a client that no
-- query searches for needs no column, because `metadata` contains it.
--
-- Portable SQL only: TEXT ids, JSON as TEXT, BIGINT seconds since 1970, 0 and 1 for booleans. The time is always a parameter.

-- Counters that grow with every change, in the transaction that makes the change. Running nodes poll them.
CREATE TABLE revisions (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);

INSERT INTO revisions (name, value) VALUES ('registry', 1);

INSERT INTO revisions (name, value) VALUES ('status', 1);

INSERT INTO revisions (name, value) VALUES ('data_keys', 1);

-- Grows by a million with every deletion of a client, API or role. The first revision of a new row is above it, so a row that is
-- deleted and created again under the same name never has a revision that a writer has seen before.
INSERT INTO revisions (name, value) VALUES ('deletions', 0);

-- Names this store, once it is created; one row. The file beside the master key has the same name, so that another database, or
-- an empty one, is not taken for this store.
CREATE TABLE store_identity (
  id         TEXT PRIMARY KEY CHECK (id = 'main'),
  store      TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

-- Signing keys

-- The algorithms that the ring signs with. What is signed in a lane refers to it, so that no lane in use can be removed.
CREATE TABLE ring_lanes (
  alg TEXT PRIMARY KEY
);

-- At most one row. Every change of the ring is a compare-and-swap on this version.
CREATE TABLE ring (
  id          TEXT PRIMARY KEY,
  version     BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  -- Signs what names no other lane.
  default_alg TEXT NOT NULL REFERENCES ring_lanes (alg)
);

CREATE TABLE ring_keys (
  kid                   TEXT PRIMARY KEY,
  alg                   TEXT NOT NULL,
  state                 TEXT NOT NULL,
  public_jwk            TEXT NOT NULL,
  -- Under the master key. NULL once the key has stopped signing.
  encrypted_private_key TEXT,
  created_at            BIGINT NOT NULL,
  published_at          BIGINT NOT NULL,
  -- The version of the ring with which the key was published.
  published_in          BIGINT NOT NULL,
  signs_from            BIGINT,
  stopped_at            BIGINT,
  -- No token that was signed with the key expires later.
  tokens_until          BIGINT NOT NULL,
  -- When the key left the JWKS.
  left_at               BIGINT
);

-- The database enforces the central rule of the ring: each lane has one active key and one next key.
CREATE UNIQUE INDEX ring_keys_one_active ON ring_keys (alg, state) WHERE state = 'active';
CREATE UNIQUE INDEX ring_keys_one_next ON ring_keys (alg, state) WHERE state = 'next';

-- Secrets that all other keys are derived from, encrypted with the master key. A new master key only means that these rows
-- and the private keys are encrypted again. The table is never empty once there is a ring.
CREATE TABLE data_keys (
  number            BIGINT PRIMARY KEY,
  encrypted         TEXT NOT NULL,
  created_at        BIGINT NOT NULL,
  -- Every node reads the data key before any node writes with it.
  current_from      BIGINT NOT NULL,
  -- Status lists from this number on belong to this data key, up to the first list of the next data key.
  first_status_list BIGINT NOT NULL,
  -- 1: what was written with this data key is rejected.
  invalidated       BIGINT NOT NULL
);

-- The registry: APIs, clients, roles, users. The revision of a row grows by one with every change of the row; an update is a
-- compare-and-swap on it.

CREATE TABLE apis (
  identifier       TEXT PRIMARY KEY,
  resource_key     TEXT NOT NULL UNIQUE,
  -- What people are shown instead of the identifier; NULL: the identifier.
  name             TEXT,
  access_token_ttl BIGINT,
  -- The algorithm of its access tokens; NULL: the default of the ring.
  signing_alg      TEXT REFERENCES ring_lanes (alg),
  created_at       BIGINT NOT NULL,
  revision         BIGINT NOT NULL
);

-- Lists are in the order of creation.
CREATE INDEX apis_by_age ON apis (created_at, identifier);

CREATE TABLE api_scopes (
  scope    TEXT PRIMARY KEY,
  api      TEXT NOT NULL REFERENCES apis (identifier) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  -- What people are shown instead of the scope; NULL: the scope.
  text     TEXT
);

-- Logos that the server has fetched. hash: SHA-256 of the content; body: base64.
CREATE TABLE client_logos (
  hash         TEXT PRIMARY KEY,
  content_type TEXT NOT NULL,
  body         TEXT NOT NULL,
  created_at   BIGINT NOT NULL
);

CREATE TABLE clients (
  id         TEXT PRIMARY KEY,
  disabled   BIGINT NOT NULL,
  logo       TEXT REFERENCES client_logos (hash),
  -- JSON: everything that no query searches for.
  metadata   TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  revision   BIGINT NOT NULL
);

-- Lists are in the order of creation.
CREATE INDEX clients_by_age ON clients (created_at, id);

-- The lanes that the metadata of a client names.
CREATE TABLE client_lanes (
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  alg       TEXT NOT NULL REFERENCES ring_lanes (alg),
  PRIMARY KEY (client_id, alg)
);

CREATE INDEX client_lanes_by_lane ON client_lanes (alg);

CREATE INDEX clients_by_logo ON clients (logo) WHERE logo IS NOT NULL;

-- The secrets of clients. A change of them is a change of the client, and so a compare-and-swap on the client's revision.
CREATE TABLE client_secrets (
  id           TEXT PRIMARY KEY,
  client_id    TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  hash         TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  -- NULL: the secret does not expire.
  expires_at   BIGINT,
  -- The revision of the client that only added this secret beside the old one. NULL: more changed with it.
  added_in     BIGINT,
  -- Written at most once an hour. Not part of the client, so it does not change the client's revision.
  last_used_at BIGINT
);

CREATE INDEX client_secrets_by_client ON client_secrets (client_id);
CREATE INDEX client_secrets_by_end ON client_secrets (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE roles (
  name                  TEXT PRIMARY KEY,
  scopes                TEXT NOT NULL,
  -- 1: users who have the role must sign in with a second factor.
  require_second_factor BIGINT NOT NULL,
  created_at            BIGINT NOT NULL,
  revision              BIGINT NOT NULL
);

CREATE TABLE users (
  id             TEXT PRIMARY KEY,
  username       TEXT NOT NULL UNIQUE,
  email          TEXT,
  email_verified BIGINT NOT NULL,
  name           TEXT,
  given_name     TEXT,
  family_name    TEXT,
  locale         TEXT,
  zoneinfo       TEXT,
  -- NULL until the user has set a password, which an invited user has not done yet.
  password_hash  TEXT,
  disabled       BIGINT NOT NULL,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL,
  -- Also grows with the user's roles.
  revision       BIGINT NOT NULL
);

-- Lists are in the order of creation.
CREATE INDEX users_by_age ON users (created_at, id);

CREATE TABLE user_roles (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role    TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  PRIMARY KEY (user_id, role)
);

CREATE INDEX user_roles_by_role ON user_roles (role);

-- Links that an administrator hands over, with which a user sets a password or registers a passkey. The primary key keeps one link
-- for each user and purpose: a new one replaces the old one. hash: SHA-256 of the secret in the link.
CREATE TABLE one_time_links (
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  purpose    TEXT NOT NULL,
  hash       TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, purpose)
);

CREATE INDEX one_time_links_by_end ON one_time_links (expires_at);

-- Requests of administrators that have an Idempotency-Key. request and answer are encrypted. A row without an answer is in progress, or
-- its process ended before the answer was stored.
CREATE TABLE idempotent_requests (
  actor           TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  request         TEXT NOT NULL,
  begun_at        BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL,
  answer          TEXT,
  PRIMARY KEY (actor, idempotency_key)
);

CREATE INDEX idempotent_requests_by_end ON idempotent_requests (expires_at);

-- Second factors

-- Confirmed secrets only: while a user sets one up, the browser carries it, encrypted, in the page.
CREATE TABLE totp_secrets (
  user_id          TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  encrypted_secret TEXT NOT NULL,
  -- Number of the data key that the secret is encrypted with.
  data_key         BIGINT NOT NULL,
  -- The newest time step of which a code was accepted, so that no code is accepted twice (RFC 6238 section 5.2).
  last_step        BIGINT NOT NULL,
  created_at       BIGINT NOT NULL
);

CREATE INDEX totp_secrets_by_data_key ON totp_secrets (data_key);

CREATE TABLE passkeys (
  id           TEXT PRIMARY KEY,
  user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- With the unique pair below, the database enforces that a user has at most twenty passkeys.
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

-- The primary key keeps two sets of recovery codes from existing side by side.
CREATE TABLE recovery_codes (
  user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  hash     TEXT NOT NULL,
  -- Number of the data key that the hash was made with.
  data_key BIGINT NOT NULL,
  PRIMARY KEY (user_id, position)
);

CREATE INDEX recovery_codes_by_data_key ON recovery_codes (data_key);

-- Sessions

-- One row for each browser in which a user is signed in to Keyturn. The cookie holds the secret.
CREATE TABLE user_sessions (
  id              TEXT PRIMARY KEY,
  secret_hash     TEXT NOT NULL UNIQUE,
  user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at      BIGINT NOT NULL,
  auth_time       BIGINT NOT NULL,
  amr             TEXT NOT NULL,
  expires_at      BIGINT NOT NULL,
  idle_expires_at BIGINT NOT NULL,
  ended_at        BIGINT,
  ended_reason    TEXT,
  ip              TEXT NOT NULL,
  user_agent      TEXT NOT NULL,
  -- Of idle_expires_at. See client_sessions.
  end_hour        BIGINT GENERATED ALWAYS AS (idle_expires_at / 3600) STORED
);

CREATE INDEX user_sessions_by_user ON user_sessions (user_id);
CREATE INDEX user_sessions_by_end ON user_sessions (end_hour, id);

-- One row for each family of refresh tokens: what one user has granted to one client by one sign-in.
CREATE TABLE client_sessions (
  id                 TEXT PRIMARY KEY,
  client_id          TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  user_id            TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- NULL if there is no browser (the password grant).
  user_session_id    TEXT,
  scope              TEXT NOT NULL,
  audience           TEXT NOT NULL,
  -- Names of single claims that the client requested from the userinfo endpoint, besides those of its scopes.
  userinfo_claims    TEXT NOT NULL,
  generation         BIGINT NOT NULL,
  rotated_at         BIGINT NOT NULL,
  created_at         BIGINT NOT NULL,
  auth_time          BIGINT NOT NULL,
  amr                TEXT NOT NULL,
  -- 1: the session outlives the user session (offline_access).
  offline            BIGINT NOT NULL,
  -- 1: the client receives a logout token when the session ends (OpenID Connect Back-Channel Logout).
  backchannel_logout BIGINT NOT NULL,
  -- JSON: the key or certificate that the refresh tokens are bound to (RFC 7800). NULL: they are not bound, or bound to the client.
  confirmation       TEXT,
  -- The first generation that is bound: earlier ones were issued before the client had proven anything.
  bound_from         BIGINT NOT NULL,
  -- The status index that all access tokens of the session carry.
  status_list        BIGINT NOT NULL,
  status_idx         BIGINT NOT NULL,
  expires_at         BIGINT NOT NULL,
  idle_expires_at    BIGINT NOT NULL,
  revoked_at         BIGINT,
  revoked_reason     TEXT,
  -- Indexed instead of idle_expires_at, which changes with each refresh: PostgreSQL writes a new entry into every index of a table
  -- when one indexed column of a row has changed (https://www.postgresql.org/docs/current/storage-hot.html).
  end_hour           BIGINT GENERATED ALWAYS AS (idle_expires_at / 3600) STORED
);

CREATE INDEX client_sessions_by_user ON client_sessions (user_id);
CREATE INDEX client_sessions_by_client ON client_sessions (client_id);
CREATE INDEX client_sessions_by_user_session ON client_sessions (user_session_id);
CREATE INDEX client_sessions_by_end ON client_sessions (end_hour, id);

-- Clients that will be sent a logout token. A row stays until the client has received it, or all attempts have failed.
CREATE TABLE logout_outbox (
  client_session_id TEXT PRIMARY KEY,
  client_id         TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  user_id           TEXT NOT NULL,
  attempts          BIGINT NOT NULL,
  due_at            BIGINT NOT NULL
);

CREATE INDEX logout_outbox_by_time ON logout_outbox (due_at);

-- Authorization requests

-- hash: SHA-256 of the code that the client was given.
CREATE TABLE authorization_codes (
  hash              TEXT PRIMARY KEY,
  client_id         TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  -- NULL if the user session was deleted. The code cannot be redeemed any more, but its replay can be detected.
  user_session_id   TEXT REFERENCES user_sessions (id) ON DELETE SET NULL,
  user_id           TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- The client session that begins when the code is redeemed.
  client_session_id TEXT NOT NULL,
  code_challenge    TEXT,
  -- The thumbprint of the key that the code is bound to (RFC 9449). Kept when the code was used, so that a replay must prove it too.
  dpop_jkt          TEXT,
  -- Wrong code verifiers that were presented with the code.
  pkce_failures     BIGINT NOT NULL,
  redirect_uri      TEXT NOT NULL,
  redirect_uri_sent BIGINT NOT NULL,
  -- JSON: everything else that no query searches for. Empty once the code was used: a replay is recognized without it.
  details           TEXT NOT NULL,
  expires_at        BIGINT NOT NULL,
  used_at           BIGINT,
  revoked_at        BIGINT,
  -- When the row is no longer needed: when the code expires, or when the session ends that began with it.
  needed_until      BIGINT NOT NULL
);

-- Codes are revoked by client, by user and by client session.
CREATE INDEX authorization_codes_by_client ON authorization_codes (client_id);
CREATE INDEX authorization_codes_by_user ON authorization_codes (user_id);

-- Deleting a user session updates its codes. Without this index, each deletion would read the whole table.
CREATE INDEX authorization_codes_by_user_session ON authorization_codes (user_session_id);
CREATE INDEX authorization_codes_by_end ON authorization_codes (needed_until);

-- RFC 9126. hash: SHA-256 of the random part of the request URI.
CREATE TABLE pushed_requests (
  hash            TEXT PRIMARY KEY,
  client_id       TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  -- A change of the client ends its pushed requests, unless it only adds a secret.
  client_revision BIGINT NOT NULL,
  parameters      TEXT NOT NULL,
  expires_at      BIGINT NOT NULL,
  used_at         BIGINT
);

CREATE INDEX pushed_requests_by_end ON pushed_requests (expires_at);

-- Consent that a user has given to a client for one audience, so that the consent page is not shown again.
CREATE TABLE consents (
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  audience   TEXT NOT NULL,
  scope      TEXT NOT NULL,
  granted_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id, audience)
);

CREATE INDEX consents_by_audience ON consents (audience);

-- Single use, revocation and status lists

-- Identifiers that are accepted once, such as the jti of a client assertion.
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

-- Positions are allocated in order, with one counter for each kind. Tokens carry a permutation of them.
CREATE TABLE status_cursors (
  kind          TEXT PRIMARY KEY,
  next_position BIGINT NOT NULL
);

INSERT INTO status_cursors (kind, next_position) VALUES ('session', 0);

INSERT INTO status_cursors (kind, next_position) VALUES ('token', 0);

-- One row for each list. No token that refers to the list expires after expires_at.
CREATE TABLE status_lists (
  list       BIGINT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

-- Runs of positions that a node has leased for the tokens of one client, so that issuing a token writes nothing.
CREATE TABLE status_blocks (
  list             BIGINT NOT NULL,
  start            BIGINT NOT NULL,
  size             BIGINT NOT NULL,
  client_id        TEXT NOT NULL,
  expires_at       BIGINT NOT NULL,
  -- The status revision that revoked the whole block.
  revoked_revision BIGINT,
  PRIMARY KEY (list, start)
);

CREATE INDEX status_blocks_by_client ON status_blocks (client_id);
CREATE INDEX status_blocks_by_end ON status_blocks (expires_at);
CREATE INDEX status_blocks_by_revision ON status_blocks (revoked_revision);

-- Status indexes that were revoked one by one.
CREATE TABLE status_entries (
  list             BIGINT NOT NULL,
  idx              BIGINT NOT NULL,
  expires_at       BIGINT NOT NULL,
  revoked_revision BIGINT NOT NULL,
  PRIMARY KEY (list, idx)
);

CREATE INDEX status_entries_by_end ON status_entries (expires_at);
CREATE INDEX status_entries_by_revision ON status_entries (revoked_revision);

-- Rate limits

-- One row for each bucket: the time at which the bucket will be full again (generic cell rate algorithm).
CREATE TABLE rate_limits (
  key     TEXT PRIMARY KEY,
  full_at BIGINT NOT NULL
);

CREATE INDEX rate_limits_by_end ON rate_limits (full_at);

-- Pairs of account and address, hashed, from which the user has signed in before.
CREATE TABLE known_locations (
  key        TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

CREATE INDEX known_locations_by_end ON known_locations (expires_at);

-- Nodes and verifiers

-- Processes that serve from this store. A node deletes its row when it stops cleanly.
CREATE TABLE nodes (
  id           TEXT PRIMARY KEY,
  hostname     TEXT NOT NULL,
  pid          BIGINT NOT NULL,
  version      TEXT NOT NULL,
  ring_version BIGINT NOT NULL,
  -- Fingerprints of the master keys that the node has.
  master_keys  TEXT NOT NULL,
  -- The settings that all nodes must have in common, as JSON.
  settings     TEXT NOT NULL,
  started_at   BIGINT NOT NULL,
  seen_at      BIGINT NOT NULL
);

-- Verifiers that identified themselves, and the version of the ring that each has fetched last.
CREATE TABLE verifiers (
  name         TEXT NOT NULL,
  instance     TEXT NOT NULL,
  ring_version BIGINT NOT NULL,
  seen_at      BIGINT NOT NULL,
  PRIMARY KEY (name, instance)
);

CREATE INDEX verifiers_by_age ON verifiers (seen_at);

-- Names that rotations wait for. Anyone can send a name, so an administrator says which ones count.
CREATE TABLE expected_verifiers (
  name       TEXT PRIMARY KEY,
  created_at BIGINT NOT NULL
);

-- The audit log

-- Rows are appended after the last one, and deleted only from the beginning, by age. hash covers the row and the hash of the
-- row before it. Events beyond the budget of a frequent event share one row, with their count and the time from since to at.
-- ip and target say more about a user than the id does, each value behind a random salt. fields has their digests, so the hash
-- does not cover the values themselves: they are set to NULL when the user is deleted.
CREATE TABLE audit (
  seq       BIGINT PRIMARY KEY,
  since     BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  event     TEXT NOT NULL,
  actor     TEXT,
  sub       TEXT,
  client_id TEXT,
  fields    TEXT NOT NULL,
  ip        TEXT,
  target    TEXT,
  count     BIGINT NOT NULL,
  hash      TEXT NOT NULL
);

CREATE INDEX audit_by_time ON audit (at, seq);
CREATE INDEX audit_by_sub ON audit (sub, seq) WHERE sub IS NOT NULL;
CREATE INDEX audit_by_actor ON audit (actor, seq) WHERE actor IS NOT NULL;
CREATE INDEX audit_by_client ON audit (client_id, seq) WHERE client_id IS NOT NULL;

-- Where the log ends, and where it begins after rows were deleted. mac is made with a key that is not in the database.
CREATE TABLE audit_head (
  id        TEXT PRIMARY KEY CHECK (id = 'main'),
  seq       BIGINT NOT NULL,
  hash      TEXT NOT NULL,
  base_seq  BIGINT NOT NULL,
  base_hash TEXT NOT NULL,
  -- When an administrator last accepted the log as it was found; 0: never.
  accepted_at BIGINT NOT NULL,
  mac       TEXT
);

INSERT INTO audit_head (id, seq, hash, base_seq, base_hash, accepted_at) VALUES ('main', 0, '', 0, '', 0);
