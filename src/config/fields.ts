/**
 * The table of settings. The type `Config`, the loader, `keyturn --help` and a check of the table in docs/settings.md follow from it. Must
 * not know what a setting is used for. A new setting is a row here and a row in docs/settings.md.
 */

import { join } from 'node:path'
import { commandLine } from '../command-line.ts'
import { logo } from './logo.ts'
import {
  algorithms,
  boolean,
  brandName,
  color,
  count,
  databaseUrl,
  duration,
  host,
  identifier,
  issuer,
  logLevel,
  masterKey,
  path,
  port,
  trustProxy,
} from './parsers.ts'

export const PREFIX = 'KEYTURN_'

/** The settings that others can be derived from. */
interface DerivationBasis {
  readonly port: number
  readonly issuer: string
  readonly keysDir: string
  readonly tlsCertFile?: string | null
}

export interface Field<T> {
  /** The name of the environment variable, after `KEYTURN_`. */
  readonly name: string
  /** Returns the value, or throws an Error whose message completes "KEYTURN_X …". */
  readonly parse: (value: string) => T
  /** The default as it would be written in the environment; undefined if the setting has no fixed default. */
  readonly default: string | undefined
  /** The value if the setting is not given and has no fixed default. */
  readonly unset: (basis: DerivationBasis) => T
  readonly doc: string
  /** Can also be given as a file, `KEYTURN_<NAME>_FILE`, and is never printed. */
  readonly secret?: true
  /**
   * All nodes of a store must have the same value. They record it in the store, so it is never a secret. If nodes differ in a number, a
   * command computes with the largest or the smallest one, whichever is the safe side.
   */
  readonly shared?: 'largest' | 'smallest'
}

type Parse<T> = (value: string) => T

const field = <T>(name: string, parse: Parse<T>, fallback: string, doc: string): Field<T> => ({
  name,
  parse,
  default: fallback,
  unset: () => parse(fallback),
  doc,
})

/** null if it is not set. */
const optional = <T>(name: string, parse: Parse<T>, doc: string): Field<T | null> => ({
  name,
  parse,
  default: undefined,
  unset: () => null,
  doc,
})

const derived = <T>(
  name: string,
  parse: Parse<T>,
  from: (basis: DerivationBasis) => T,
  doc: string,
): Field<T> => ({
  name,
  parse,
  default: undefined,
  unset: from,
  doc,
})

const secret = <T>(row: Field<T>): Field<T> => ({ ...row, secret: true })

type Plain = string | number | null

const shared = <T extends Plain>(row: Field<T>, safeSide: 'largest' | 'smallest' = 'largest'): Field<T> => ({
  ...row,
  shared: safeSide,
})

export const fields = {
  /** Exactly as in tokens and metadata. */
  issuer: shared(
    derived(
      'ISSUER',
      issuer,
      (basis) => `${basis.tlsCertFile ? 'https' : 'http'}://localhost:${basis.port}`,
      'issuer URL; `https` unless the host is loopback; default `http://localhost:<port>`, or `https` with `KEYTURN_TLS_CERT_FILE`',
    ),
  ),
  host: field('HOST', host, '127.0.0.1', 'address to listen on'),
  port: field('PORT', port, '3000', 'port to listen on; `0` picks a free one and prints it'),
  /** null: a proxy ends TLS. */
  tlsCertFile: optional(
    'TLS_CERT_FILE',
    path,
    'certificate of this server and its intermediates, PEM; the server then speaks HTTPS; read again when it changes',
  ),
  tlsKeyFile: optional('TLS_KEY_FILE', path, 'private key of `KEYTURN_TLS_CERT_FILE`, PEM'),
  /** null: no port asks for client certificates. */
  mtlsPort: optional(
    'MTLS_PORT',
    port,
    'port that asks for client certificates, on the same address; `0` picks a free one; see docs/sender-constrained.md',
  ),
  /** null: no authority is accepted for client certificates that Keyturn receives itself, and proxies check those that they pass on. */
  tlsClientCaFile: optional(
    'TLS_CLIENT_CA_FILE',
    path,
    'authorities that issue client certificates, PEM; read again when it changes',
  ),
  /** null: metrics are served on the main port, only to clients on this machine. */
  metricsPort: optional(
    'METRICS_PORT',
    port,
    'port of `GET /metrics`, on the same address; `0` picks a free one; for the default, see docs/metrics.md',
  ),
  databaseUrl: secret(
    field(
      'DATABASE_URL',
      databaseUrl,
      'sqlite:data/keyturn.db',
      'database: `sqlite:<file>` or `postgres://…`',
    ),
  ),
  databasePool: field(
    'DATABASE_POOL',
    count(1, 1000),
    '10',
    'PostgreSQL: maximum number of connections of this node',
  ),
  databaseTimeout: field(
    'DATABASE_TIMEOUT',
    duration('1s', '5m'),
    '5s',
    'PostgreSQL: time limit for connecting, for waiting for a free connection, and for each statement',
  ),
  keysDir: field('KEYS_DIR', path, 'keys', 'folder that holds `master.key`'),
  /** null: read from `keysDir`. */
  masterKey: secret(
    optional(
      'MASTER_KEY',
      masterKey,
      'master key, 32 bytes in base64url; replaces the file in `KEYTURN_KEYS_DIR`; required with PostgreSQL',
    ),
  ),
  /** null: read from `keysDir`, if the file exists. */
  masterKeyNext: secret(
    optional(
      'MASTER_KEY_NEXT',
      masterKey,
      `second valid master key, for \`${commandLine('master-key rotate')}\` to move to; see docs/master-key.md`,
    ),
  ),
  /** null: nothing about the store is recorded outside the database. */
  storeRecordFile: derived<string | null>(
    'STORE_RECORD_FILE',
    (value) => (value === 'off' ? null : path(value)),
    ({ keysDir }) => join(keysDir, 'store.json'),
    'file outside the database that names the store and the end of its audit log; default `store.json` in `KEYTURN_KEYS_DIR`; `off`: none',
  ),
  algorithms: field(
    'ALGORITHMS',
    algorithms,
    'RS256',
    'lanes of a new key ring, separated by spaces; the first is the default; see docs/algorithms.md',
  ),
  accessTokenTtl: shared(
    field(
      'ACCESS_TOKEN_TTL',
      duration('1s', '24h'),
      '10m',
      'lifetime of access tokens; an API or a client may set its own',
    ),
  ),
  refreshTokenTtl: shared(
    field(
      'REFRESH_TOKEN_TTL',
      duration('1s', '3650d'),
      '30d',
      'lifetime of a session, however often it is used',
    ),
  ),
  refreshIdleTtl: shared(
    field('REFRESH_IDLE_TTL', duration('1s', '3650d'), '7d', 'time after which an unused session ends'),
  ),
  refreshGrace: shared(
    field(
      'REFRESH_GRACE',
      duration('0s', '5m'),
      '10s',
      'time in which a retry of the last refresh gets the same refresh token again',
    ),
  ),
  jwksMaxAge: shared(
    field(
      'JWKS_MAX_AGE',
      duration('0s', '24h'),
      '5m',
      'upper limit of `max-age` of the JWKS, which is never longer than the time to the ring’s next change',
    ),
  ),
  verifierCache: shared(
    field(
      'VERIFIER_CACHE',
      duration('0s', '90d'),
      '24h',
      'longest time that any verifier keeps a JWKS; keys are published this long before they sign',
    ),
  ),
  /** null: only an administrator rotates keys. */
  keyRotation: shared(
    field(
      'KEY_ROTATION',
      duration('1m', '3650d', 'off'),
      '30d',
      'time between automatic key rotations; `off`: only by hand',
    ),
    'smallest',
  ),
  defaultAudience: shared(
    derived(
      'DEFAULT_AUDIENCE',
      identifier,
      (basis) => basis.issuer,
      '`aud` of a token whose scopes belong to no registered API; default: the issuer',
    ),
  ),
  statusTtl: shared(
    field('STATUS_TTL', duration('1s', '1h'), '10s', 'time for which verifiers may cache a status list'),
  ),
  dpopNonce: field(
    'DPOP_NONCE',
    boolean(),
    'off',
    'DPoP proofs must have a nonce of this server: `on` or `off`; see docs/sender-constrained.md',
  ),
  trustProxy: field(
    'TRUST_PROXY',
    trustProxy,
    'off',
    'proxies whose `X-Forwarded-For` is trusted: `off`, `on` (the one that connects), their number, or addresses',
  ),
  admin: field('ADMIN', boolean(), 'on', 'administration API and console: `on` or `off`'),
  /** null: on the main port. */
  adminPort: optional(
    'ADMIN_PORT',
    port,
    'port of the administration API and the console, on the same address; `0` picks a free one; default: the main port',
  ),
  maxConnections: field(
    'MAX_CONNECTIONS',
    count(20, 1_000_000),
    '2000',
    'maximum number of open connections of this node; one IP prefix may have a quarter of them, except trusted proxies',
  ),
  shutdownDelay: field(
    'SHUTDOWN_DELAY',
    duration('0s', '5m'),
    '0s',
    'time for which a stopping server still accepts requests while `/health/ready` answers 503',
  ),
  minPasswordLength: shared(
    field(
      'MIN_PASSWORD_LENGTH',
      count(8, 64),
      '8',
      'minimum length of new passwords; NIST SP 800-63B requires 15 where no second factor is required',
    ),
  ),
  brandName: field(
    'BRAND_NAME',
    brandName,
    'Keyturn',
    'name of this server on pages and in authenticator apps',
  ),
  brandColor: field(
    'BRAND_COLOR',
    color,
    '#3949b8',
    'colour of buttons and links, `#rrggbb`; adjusted where the contrast would be too low',
  ),
  /** null: Keyturn's own logo. */
  brandLogo: optional('BRAND_LOGO', logo, 'logo file: SVG, PNG, JPEG or WebP, at most 200 KB'),
  /** null: audit events are only written to the log. */
  auditRetention: shared(
    field(
      'AUDIT_RETENTION',
      duration('1h', '3650d', 'off'),
      '90d',
      'time for which audit events are kept in the database; `off`: they are written to the log only',
    ),
  ),
  logLevel: field(
    'LOG_LEVEL',
    logLevel,
    'info',
    'log level: `fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`',
  ),
  logPretty: field(
    'LOG_PRETTY',
    boolean('auto'),
    'auto',
    'readable log lines instead of JSON: `on`, `off`, or `auto`: on a terminal',
  ),
} as const

/** The environment variables of a setting. */
export function variablesOf({ name, secret: isSecret }: Field<unknown>): string[] {
  return isSecret ? [PREFIX + name, `${PREFIX}${name}_FILE`] : [PREFIX + name]
}
