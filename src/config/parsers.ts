/** The parsers of the settings: text → value. Must not know the names of settings, or where their texts come from. */
import { isIP, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { ALGORITHM_NAMES, type AlgorithmName, algorithmNamed } from '../algorithm-names.ts'
import { plainAddress } from '../ip-address.ts'
import { isLoopbackHost } from '../loopback.ts'
import type { Seconds } from '../system.ts'
import { prepareName } from '../visible-text.ts'

/** A problem that an operator can fix; its message completes "KEYTURN_X …". */
const problem = (message: string): Error => new Error(message)

const UNITS: Readonly<Record<string, Seconds>> = { d: 86_400, h: 3600, m: 60, s: 1 }
const DURATION = /^(\d{1,9})([smhd])$/

export const isDurationText = (value: string): boolean => DURATION.test(value)

/** Formats a duration as an operator would write it, in the largest unit that divides it evenly. */
export function durationText(value: Seconds): string {
  const [unit, size] = Object.entries(UNITS).find(([, size]) => value >= size && value % size === 0) ?? [
    's',
    1,
  ]
  return `${value / size}${unit}`
}

function seconds(value: string): Seconds {
  const match = DURATION.exec(value)
  const unit = UNITS[match?.[2] ?? '']
  if (!match || unit === undefined) throw problem('must be a duration such as 10s, 5m, 12h or 30d')
  return Number(match[1]) * unit
}

/** `10s`, `5m`, `12h`, `30d`, within limits; `off`, where allowed, becomes null. */
export function duration(min: string, max: string): (value: string) => Seconds
export function duration(min: string, max: string, off: 'off'): (value: string) => Seconds | null
export function duration(min: string, max: string, off?: 'off') {
  return (value: string): Seconds | null => {
    if (off && value === off) return null
    const parsed = seconds(value)
    if (parsed < seconds(min) || parsed > seconds(max)) throw problem(`must be between ${min} and ${max}`)
    return parsed
  }
}

/**
 * Refuses text that people cannot see and programs read in different ways, such as the carriage return that a file with Windows line
 * endings leaves at the end of a value. Every setting is checked before it is parsed.
 */
export function assertVisible(value: string): void {
  if (value !== value.trim()) throw problem('must not begin or end with white space')
  if (/\p{Cc}/u.test(value)) throw problem('must be text without control characters')
}

/** The name of a file or folder, used as it is. Only a shell expands `~`; in a setting or in quotes it would name a folder called `~`. */
export function path(value: string): string {
  assertVisible(value)
  if (value === '') throw problem('must not be empty')
  if (/^~(?:\/|$)/.test(value)) throw problem('must not begin with ~: write the whole path')
  return value
}

/** A host name or an IP address; an IPv6 address may be in brackets, as in a URL. */
export function host(value: string): string {
  const [, bracketed] = /^\[(.*)\]$/.exec(value) ?? []
  if (bracketed === undefined ? isIP(value) !== 0 : isIPv6(bracketed)) return plainAddress(bracketed ?? value)
  if (!/^[a-z0-9]([\w.-]*[a-z0-9])?$/i.test(value) || /^[\d.]+$/.test(value))
    throw problem('must be a host name or an IP address, such as 127.0.0.1 or ::1')
  return value
}

export function port(value: string): number {
  const parsed = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN
  if (!(parsed <= 65_535)) throw problem('must be a port number from 0 to 65535')
  return parsed
}

/** A whole number within limits. */
export function count(min: number, max: number): (value: string) => number {
  return (value) => {
    const parsed = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    if (!(parsed >= min && parsed <= max)) throw problem(`must be a number from ${min} to ${max}`)
    return parsed
  }
}

/** RFC 8414 §2: an https URL without a query or fragment. Not normalized, because `iss` is compared as a string. */
export function issuer(value: string): string {
  let url: URL
  try {
    url = new URL(value)
  } catch {
    throw problem('must be a URL such as https://login.example.com')
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw problem('must be an https URL')
  if (/[?#\s]/.test(value) || url.username || url.password) {
    throw problem('must have no query, fragment, credentials or white space (RFC 8414 §2)')
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw problem('must be https: plain http is only for localhost (RFC 8414 §2)')
  }
  // The path becomes a part of routes, of file names and of settings of proxies, which read other characters in different ways.
  if (!/^(?:\/[\w.~-]+)*\/?$/.test(url.pathname)) {
    throw problem(
      'must have a path of letters, digits, hyphens, dots, underscores, tildes and single slashes',
    )
  }
  if (/^\/(?:health|metrics|\.well-known)(?:\/|$)/.test(url.pathname))
    throw problem(
      'must have a path outside /health, /metrics and /.well-known, which this server uses itself',
    )
  // Some verifiers compare `iss` as it is and others after URL parsing, so parsing must not change it.
  const plain = value.endsWith('/') ? url.href : url.href.replace(/\/$/, '')
  if (value !== plain) throw problem(`must be written as ${plain}`)
  return value
}

export function identifier(value: string): string {
  if (/\s/.test(value)) throw problem('must not contain white space')
  return value
}

/** A database that several nodes can share. */
export const isPostgresUrl = (value: string): boolean =>
  /^postgres(ql)?:\/\/[^\s]+$/.test(value) && URL.canParse(value)

/** A password in a PostgreSQL URL may also be a parameter, as in libpq. */
export function hasPassword(value: string): boolean {
  if (!isPostgresUrl(value)) return false
  const { password, searchParams } = new URL(value)
  return password !== '' || searchParams.has('password')
}

/** The embedded engine without a file. */
export const IN_MEMORY = 'sqlite::memory:'

/** No message repeats a part of the value, because it may contain a password. */
export function databaseUrl(value: string): string {
  if (/^sqlite:/.test(value)) return sqliteUrl(value)
  if (!isPostgresUrl(value))
    throw problem('must be sqlite:<file> or postgres://<user>:<password>@<host>/<database>')
  // With a raw `/`, `?` or `#` in the password, the host would end there, and messages would name the rest of the password as the database.
  if (!POSTGRES_URL.test(value) || !isPercentEncoded(value)) {
    throw problem(
      'must be postgres://<user>:<password>@<host>/<database>, with % and two digits for special characters in the password (@ is %40, / is %2F)',
    )
  }
  return value
}

const POSTGRES_URL = /^\w+:\/\/(?:[^@/?#]*@)?[^@/?#]*(?:\/[^@/?#:]*)?(?:\?[^@?#]*)?$/

function isPercentEncoded(value: string): boolean {
  try {
    decodeURIComponent(value)
    return true
  } catch {
    return false
  }
}

/** The name of an SQLite file is used as it is. Text that looks like a URI or an unexpanded name would create a file of that name. */
function sqliteUrl(value: string): string {
  const file = value.slice('sqlite:'.length)
  if (value === IN_MEMORY) return value
  if (file === '' || /^(?:~|:|file:|\/\/(?!\/))|[?#%]/i.test(file)) {
    throw problem(
      'must be sqlite:<file>, such as sqlite:data/keyturn.db or sqlite:/var/lib/keyturn.db, without ~, file:, parameters or percent-encoding',
    )
  }
  return value
}

export function masterKey(value: string): Buffer {
  const bytes = Buffer.from(value, 'base64url')
  if (bytes.length !== 32 || bytes.toString('base64url') !== value) {
    throw problem('must be 32 bytes in base64url, without padding: 43 characters')
  }
  return bytes
}

/** A number of proxies in front of the server, or a list of their addresses. */
export type TrustProxy = number | string

/**
 * No value trusts every address: the first address in `X-Forwarded-For` is text that the client has written. `on` trusts the one
 * proxy that connects.
 */
export function trustProxy(value: string): TrustProxy {
  if (value === 'off') return 0
  if (value === 'on') return 1
  if (/^\d{1,2}$/.test(value)) return Number(value)
  if (value.split(',').every((part) => isNetwork(part.trim()))) return value
  throw problem(
    'must be off, on (one proxy), the number of proxies in front of the server, or a list of their addresses that does not include all addresses',
  )
}

const NAMED_NETWORKS = ['loopback', 'linklocal', 'uniquelocal']

/** An address, a network such as 10.0.0.0/8, or one of the names that Fastify knows. */
function isNetwork(text: string): boolean {
  const [address = ''] = text.split('/', 1)
  // `isIP` is stricter than ipaddr.js, which also accepts `127.1` and `0x7f.1`.
  if (isIP(address) === 0) return NAMED_NETWORKS.includes(text)
  return text === address || (ipaddr.isValidCIDR(text) && !text.endsWith('/0'))
}

/** The first one is the default lane. */
export function algorithms(value: string): readonly AlgorithmName[] {
  const names = value.split(/ +/).map((name) => algorithmNamed(name))
  const known = names.filter((name) => name !== undefined)
  if (known.length < names.length)
    throw problem(`must be algorithms separated by spaces, of ${ALGORITHM_NAMES.join(', ')}`)
  if (new Set(known).size < known.length) throw problem('must not name an algorithm twice')
  return known
}

/** Shown to users in sentences and titles. */
export function brandName(value: string): string {
  const name = prepareName(value, 60)
  if (name === null) throw problem('must be 1 to 60 printable characters')
  return name
}

export function color(value: string): string {
  if (!/^#[0-9a-f]{6}$/i.test(value)) throw problem('must be a colour such as #3949b8')
  return value
}

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

export function logLevel(value: string): string {
  if (!LEVELS.includes(value)) throw problem(`must be one of ${LEVELS.join(', ')}`)
  return value
}

export function boolean(): (value: string) => boolean
export function boolean(auto: 'auto'): (value: string) => boolean | 'auto'
export function boolean(auto?: 'auto') {
  return (value: string): boolean | 'auto' => {
    if (value === 'on') return true
    if (value === 'off') return false
    if (auto !== undefined && value === auto) return auto
    throw problem(auto === undefined ? 'must be on or off' : `must be on, off or ${auto}`)
  }
}
