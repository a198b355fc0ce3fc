/**
 * The settings: one table row each, from which the loader, `keyturn --help` and the README's table are made.
 * Must not know: what a setting is used for. Add a row here; a test then asks for its line in the README.
 */
import { logo } from './logo.ts'
import {
  boolean,
  brandName,
  color,
  count,
  databaseUrl,
  duration,
  identifier,
  issuer,
  logLevel,
  masterKey,
  port,
  text,
  trustProxy,
} from './parsers.ts'

/** `parse` returns the value or throws an Error whose message completes "KEYTURN_X …". */
export interface Field<T> {
  readonly parse: (value: string) => T
  /** As it would be written in the environment; undefined means the setting may be absent. */
  readonly default: string | undefined
  readonly doc: string
  /** Also taken from a file named by `KEYTURN_<NAME>_FILE`, and never printed. */
  readonly secret?: true
}

const field = <T>(parse: (value: string) => T, fallback: string | undefined, doc: string): Field<T> => ({
  parse,
  default: fallback,
  doc,
})

const secret = <T>(parse: (value: string) => T, fallback: string | undefined, doc: string): Field<T> => ({
  ...field(parse, fallback, doc),
  secret: true,
})

export const fields = {
  ISSUER: field(
    issuer,
    undefined,
    'issuer URL; `https` unless the host is loopback; default `http://localhost:<port>`',
  ),
  HOST: field(text, '127.0.0.1', 'address to listen on'),
  PORT: field(port, '3000', 'port to listen on; `0` picks a free one and prints it'),
  METRICS_PORT: field(
    port,
    undefined,
    'port of `GET /metrics`, on the same address; `0` picks a free one; without it, see docs/metrics.md',
  ),
  DATABASE_URL: secret(databaseUrl, 'sqlite:data/keyturn.db', 'the store: `sqlite:<file>` or `postgres://…`'),
  DATABASE_POOL: field(count(1, 1000), '10', 'PostgreSQL: connections of this node, at most'),
  DATABASE_TIMEOUT: field(
    duration('1s', '5m'),
    '5s',
    'PostgreSQL: how long connecting, waiting for a connection, and a statement may each take',
  ),
  KEYS_DIR: field(text, 'keys', 'folder of `master.key`'),
  MASTER_KEY: secret(
    masterKey,
    undefined,
    '32 bytes base64url; overrides the file in `KEYTURN_KEYS_DIR`; required with PostgreSQL',
  ),
  MASTER_KEY_NEXT: secret(
    masterKey,
    undefined,
    'accepted too, so that `keyturn keys reseal` can go over to it; see docs/master-key.md',
  ),
  ACCESS_TOKEN_TTL: field(
    duration('1s', '24h'),
    '10m',
    'lifetime of access tokens; an API or a client may set its own',
  ),
  REFRESH_TOKEN_TTL: field(duration('1s', '3650d'), '30d', 'end of a session, absolute'),
  REFRESH_IDLE_TTL: field(duration('1s', '3650d'), '7d', 'end of a session that is not used'),
  REFRESH_GRACE: field(
    duration('0s', '5m'),
    '10s',
    'how long a retry of the last refresh gets the same successor',
  ),
  JWKS_MAX_AGE: field(
    duration('0s', '24h'),
    '5m',
    'upper bound of `max-age` on the JWKS; never longer than the time to the ring’s next change',
  ),
  VERIFIER_CACHE: field(
    duration('0s', '90d'),
    '24h',
    'the longest any verifier may hold a JWKS; rotation safety is computed from it',
  ),
  KEY_ROTATION: field(duration('1m', '3650d', 'off'), '30d', 'automatic rotation; `off` for manual only'),
  DEFAULT_AUDIENCE: field(
    identifier,
    undefined,
    '`aud` of a token that concerns no registered API; default: the issuer',
  ),
  STATUS_TTL: field(duration('1s', '1h'), '10s', 'how long a verifier may cache a status list'),
  TRUST_PROXY: field(
    trustProxy,
    'off',
    'which proxies’ `X-Forwarded-For` to believe: `off`, `on`, a hop count, or addresses',
  ),
  SHUTDOWN_DELAY: field(
    duration('0s', '5m'),
    '0s',
    'how long `/health/ready` says no before a stopping server refuses connections',
  ),
  BRAND_NAME: field(brandName, 'Keyturn', 'what the pages and authenticator apps call this server'),
  BRAND_COLOR: field(
    color,
    '#3949b8',
    'of buttons and links, `#rrggbb`; adjusted where it could not be read',
  ),
  BRAND_LOGO: field(logo, undefined, 'file with an SVG, PNG, JPEG or WebP picture of at most 200 KB'),
  AUDIT_RETENTION: field(
    duration('1h', '3650d', 'off'),
    '90d',
    'how long the store keeps its copy of the audit log; `off`: none, the log lines alone',
  ),
  LOG_LEVEL: field(logLevel, 'info', '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`'),
  LOG_PRETTY: field(
    boolean('auto'),
    'auto',
    'log for people instead of JSON: `on`, `off`, or `auto`: on a terminal',
  ),
} as const

export type FieldName = keyof typeof fields
