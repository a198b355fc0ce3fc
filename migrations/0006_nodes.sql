-- The processes that serve from this store, as they say themselves. A row goes at a clean stop.
CREATE TABLE nodes (
  id           TEXT PRIMARY KEY,
  hostname     TEXT NOT NULL,
  pid          BIGINT NOT NULL,
  version      TEXT NOT NULL,
  ring_version BIGINT NOT NULL,
  started_at   BIGINT NOT NULL,
  seen_at      BIGINT NOT NULL
);
