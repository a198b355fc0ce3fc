/**
 * `node bench/simulate.ts`: estimates the resources that an installation of a given size needs. Simulates the events of some users
 * over a few weeks, scales them to all users, and multiplies them by the cost of each operation as measured by bench/scale.ts
 * and bench/run.ts. With --write, updates the table of docs/scale.md.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { constants, deflateSync } from 'node:zlib'
import { table } from '../src/cli/output.ts'
import { seededRandom } from '../test/support/server/seeded-random.ts'

/** Cost of one operation on PostgreSQL. Replace the values with measurements of your machines. */
export const COSTS = {
  /**
   * Processor milliseconds of a node, from bench/run.ts and bench/scale.ts. The cost of a sign-in does not include argon2, which
   * is listed separately.
   */
  token_ms: 0.35,
  refresh_ms: 0.75,
  sign_in_ms: 5.7,
  argon2_ms: 17.2,
  /** Processor milliseconds of PostgreSQL and bytes in its WAL, from bench/scale.ts. */
  refresh_store_ms: 0.37,
  refresh_log_bytes: 550,
  /** Not measured. A sign-in writes a user session, a code, a client session and a rate limit: as much as four refreshes. */
  sign_in_store_ms: 1.5,
  sign_in_log_bytes: 4000,
  sign_in_commits: 4,
  /** Bytes on disk with indexes and a tenth of a user, from bench/scale.ts. An update keeps the old row until the next vacuum. */
  session_bytes: 400,
  /** Bytes on disk. Not measured. */
  user_bytes: 400,
  /** Share of the cores that may be in use at the peak. Chosen, not measured. */
  utilisation: 0.6,
}
export type Costs = typeof COSTS

/** How users and services behave. */
export const USAGE = {
  /** Active sessions per user: one per application and device. */
  sessions_per_user: 2,
  /** How often per day the application of a session is opened, and for how long. */
  uses_per_day: 2,
  use_minutes: 20,
  access_ttl_s: 600,
  idle_ttl_days: 7,
  absolute_ttl_days: 30,
  /** How long an ended session is kept. */
  retention_days: 1,
  /** Share of sessions that the user signs out of before they expire. */
  sign_out_share: 0.2,
  /** Service processes per thousand users, at least three. Each requests one token per lifetime of an access token. */
  services_per_thousand: 0.1,
  /** Verifiers fetch the JWKS and each status list as often as these allow. */
  jwks_max_age_s: 300,
  status_ttl_s: 10,
}
export type Usage = typeof USAGE

/** Indices per status list, one bit each. Sessions get consecutive indices. */
const LIST_SIZE = 2 ** 20
const DAY = 86_400
const HOUR = 3600
const SAMPLE_USERS = 1500
const DAYS = 45
/** The first month fills the store and is not measured. */
const WARM_UP_DAYS = 31

export interface Simulation {
  /** Events per second for each active session: on average, and in the busiest hour of the day. */
  readonly refreshes: number
  readonly refreshesAtPeak: number
  readonly signIns: number
  readonly signInsAtPeak: number
  /** Session rows per active session, including those of ended sessions. */
  readonly rows: number
  /** Status indices in use per active session. */
  readonly statusIndices: number
  /** How many of these indices are revoked. */
  readonly revoked: number
  /** Counts of sessions: started = deleted + remaining. */
  readonly started: number
  readonly deleted: number
  readonly remaining: number
}

interface Session {
  readonly startedAt: number
  readonly expiresAt: number
  readonly signedOutAt: number
  lastUse: number
}

/** Activity at this second of the day, relative to the average: lowest at 4:00, highest at 16:00. */
const activityAt = (second: number): number => 1 - 0.9 * Math.cos(((second / HOUR - 4) / 24) * 2 * Math.PI)

/** Simulates users with one session each. A user whose session has ended signs in again at the next use. */
export function simulate(usage: Usage, userCount = SAMPLE_USERS, seed = 1): Simulation {
  const random = seededRandom(seed)
  const hours = { refreshes: new Array<number>(24).fill(0), signIns: new Array<number>(24).fill(0) }
  const totals = { refreshes: 0, signIns: 0, started: 0, deleted: 0, remaining: 0 }
  /** Seconds, summed over all sessions in the measured time. */
  let rows = 0
  let active = 0
  let revoked = 0
  const seconds = DAYS * DAY
  const isMeasured = (at: number) => at >= WARM_UP_DAYS * DAY && at < seconds
  /** Seconds of this interval that are in the measured time. */
  const overlap = (from: number, to: number) =>
    Math.max(0, Math.min(to, seconds) - Math.max(from, WARM_UP_DAYS * DAY))

  for (let user = 0; user < userCount; user += 1) {
    let session: Session | undefined
    let at = random() * DAY
    const end = (ended: Session, when: number) => {
      const deletedAt = when + usage.retention_days * DAY
      active += overlap(ended.startedAt, when)
      rows += overlap(ended.startedAt, deletedAt)
      if (when === ended.signedOutAt) revoked += overlap(when, ended.expiresAt)
      if (deletedAt < seconds) totals.deleted += 1
      else totals.remaining += 1
    }
    for (;;) {
      at += nextUse(at)
      if (session) {
        const idle = session.lastUse + usage.idle_ttl_days * DAY
        const endsAt = Math.min(session.expiresAt, session.signedOutAt, idle)
        if (at >= endsAt) {
          end(session, endsAt)
          session = undefined
        }
      }
      if (at >= seconds) break
      if (!session) {
        const expiresAt = at + usage.absolute_ttl_days * DAY
        const signsOut = random() < usage.sign_out_share
        session = {
          startedAt: at,
          expiresAt,
          signedOutAt: signsOut ? at + random() * usage.absolute_ttl_days * DAY : Number.POSITIVE_INFINITY,
          lastUse: at,
        }
        totals.started += 1
        if (isMeasured(at)) count('signIns', at)
      }
      // At each use the access token has expired. It is renewed until the application is closed.
      const renewals = 1 + Math.floor((usage.use_minutes * 60) / usage.access_ttl_s)
      for (let i = 0; i < renewals; i += 1) {
        const when = at + i * usage.access_ttl_s
        if (when >= Math.min(session.expiresAt, session.signedOutAt)) break
        session.lastUse = when
        if (isMeasured(when)) count('refreshes', when)
      }
    }
    if (session) {
      const idle = session.lastUse + usage.idle_ttl_days * DAY
      end(session, Math.min(session.expiresAt, session.signedOutAt, idle, seconds))
    }
  }

  // Each hour of the day is 1/24 of the measured time.
  const busiestHour = (counts: readonly number[]) => (Math.max(...counts) * 24) / active
  return {
    refreshes: totals.refreshes / active,
    refreshesAtPeak: busiestHour(hours.refreshes),
    signIns: totals.signIns / active,
    signInsAtPeak: busiestHour(hours.signIns),
    rows: rows / active,
    statusIndices: (totals.signIns / active) * usage.absolute_ttl_days * DAY,
    revoked: revoked / active,
    started: totals.started,
    deleted: totals.deleted,
    remaining: totals.remaining,
  }

  function count(what: keyof typeof hours, at: number): void {
    totals[what] += 1
    const slot = Math.floor((at % DAY) / HOUR)
    hours[what][slot] = (hours[what][slot] ?? 0) + 1
  }

  /** Thinning of a Poisson process: draws events at the highest rate, and rejects some according to the time of day. */
  function nextUse(from: number): number {
    const busiest = (usage.uses_per_day * 1.9) / DAY
    let at = from
    do at -= Math.log(1 - random()) / busiest
    while (random() > activityAt(at % DAY) / 1.9)
    return at - from
  }
}

export interface Needs {
  readonly users: number
  readonly sessions: number
  /** Events per second, on average and in the busiest hour. */
  readonly refreshes: number
  readonly refreshes_peak: number
  readonly sign_ins_peak: number
  readonly service_tokens: number
  /** Processor cores in the busiest hour. */
  readonly node_cores: number
  readonly argon2_cores: number
  readonly store_cores: number
  readonly commits_peak: number
  readonly log_mb_peak: number
  readonly rows: number
  readonly disk_gb: number
  readonly lists: number
  /** Size of one status list as served. */
  readonly list_kb: number
  /** Traffic to a verifier that reads all status lists. */
  readonly lists_mb_s: number
  readonly verifiers: number
  /** Requests of all verifiers together. */
  readonly jwks_per_s: number
}

export function needs(
  users: number,
  simulation: Simulation,
  usage: Usage = USAGE,
  costs: Costs = COSTS,
): Needs {
  const sessions = users * usage.sessions_per_user
  const refreshes = sessions * simulation.refreshesAtPeak
  const signIns = sessions * simulation.signInsAtPeak
  const verifiers = Math.max(3, Math.ceil((users / 1000) * usage.services_per_thousand))
  const tokens = verifiers / usage.access_ttl_s
  const cores = (milliseconds: number) => milliseconds / 1000 / costs.utilisation
  const rows = sessions * simulation.rows
  const lists = Math.ceil((sessions * simulation.statusIndices) / LIST_SIZE)
  const listKb = listBytes(simulation.revoked / simulation.statusIndices) / 1000
  const argon2 = cores(signIns * costs.argon2_ms)
  return {
    users,
    sessions,
    refreshes: sessions * simulation.refreshes,
    refreshes_peak: refreshes,
    sign_ins_peak: signIns,
    service_tokens: tokens,
    node_cores:
      argon2 + cores(refreshes * costs.refresh_ms + signIns * costs.sign_in_ms + tokens * costs.token_ms),
    argon2_cores: argon2,
    store_cores: cores(refreshes * costs.refresh_store_ms + signIns * costs.sign_in_store_ms),
    commits_peak: refreshes + signIns * costs.sign_in_commits,
    log_mb_peak: (refreshes * costs.refresh_log_bytes + signIns * costs.sign_in_log_bytes) / 1e6,
    rows,
    disk_gb: (rows * costs.session_bytes + users * costs.user_bytes) / 1e9,
    lists,
    list_kb: listKb,
    lists_mb_s: (lists * listKb) / 1000 / usage.status_ttl_s,
    verifiers,
    jwks_per_s: verifiers / usage.jwks_max_age_s,
  }
}

/** Size of a status list as served: compressed as the server does it, and in base64url. */
function listBytes(share: number): number {
  const random = seededRandom(2)
  const bits = new Uint8Array(LIST_SIZE / 8)
  for (let i = 0; i < LIST_SIZE; i += 1)
    if (random() < share) bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7))
  return (deflateSync(bits, { level: 9, strategy: constants.Z_RLE }).length * 4) / 3
}

export const SIZES = [1000, 100_000, 1_000_000, 10_000_000, 100_000_000]

/** Rounds to two digits, because the estimate is not more precise. */
function formatNumber(value: number): string {
  if (value >= 100) return Number(value.toPrecision(2)).toLocaleString('en-US')
  return value >= 0.095 ? String(Number(value.toPrecision(2))) : '< 0.1'
}

const TABLE_ROWS: readonly (readonly [string, (needs: Needs) => string])[] = [
  ['active sessions', (needs) => formatNumber(needs.sessions)],
  ['refreshes per second, mean', (needs) => formatNumber(needs.refreshes)],
  ['refreshes per second, busiest hour', (needs) => formatNumber(needs.refreshes_peak)],
  ['sign-ins per second, busiest hour', (needs) => formatNumber(needs.sign_ins_peak)],
  ['node cores', (needs) => formatNumber(needs.node_cores)],
  ['of which argon2', (needs) => formatNumber(needs.argon2_cores)],
  ['PostgreSQL cores', (needs) => formatNumber(needs.store_cores)],
  ['commits per second', (needs) => formatNumber(needs.commits_peak)],
  ['WAL, MB per second', (needs) => formatNumber(needs.log_mb_peak)],
  ['session rows', (needs) => formatNumber(needs.rows)],
  ['sessions and users on disk, GB', (needs) => formatNumber(needs.disk_gb)],
  ['status lists for sessions', (needs) => formatNumber(needs.lists)],
  ['one list as served, kB', (needs) => formatNumber(needs.list_kb)],
  ['all lists to one verifier, MB per second', (needs) => formatNumber(needs.lists_mb_s)],
  ['verifiers (processes)', (needs) => formatNumber(needs.verifiers)],
  ['JWKS requests per second, all verifiers', (needs) => formatNumber(needs.jwks_per_s)],
]

export function columns(simulation: Simulation): readonly (readonly string[])[] {
  const all = SIZES.map((users) => needs(users, simulation))
  return TABLE_ROWS.map(([name, show]) => [name, ...all.map(show)])
}

export const HEADERS = ['users', ...SIZES.map((users) => users.toLocaleString('en-US'))]

const BEGIN = '<!-- node bench/simulate.ts --write: begin -->'
const END = '<!-- end -->'

/** Returns the page with an updated table. */
export function rewrite(page: string, simulation: Simulation): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const newTable = [row(HEADERS), row(HEADERS.map(() => '---')), ...columns(simulation).map(row)].join('\n')
  const [before, rest] = page.split(BEGIN)
  const after = rest?.split(END)[1]
  if (after === undefined) throw new Error('docs/scale.md has no markers for the table')
  return `${before}${BEGIN}\n${newTable}\n${END}${after}`
}

export const PAGE = new URL('../docs/scale.md', import.meta.url)

if (import.meta.main) {
  const { values } = parseArgs({
    options: { write: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  })
  const simulation = simulate(USAGE)
  if (values.write) writeFileSync(PAGE, rewrite(readFileSync(PAGE, 'utf8'), simulation))
  if (values.json)
    process.stdout.write(
      `${JSON.stringify({ usage: USAGE, costs: COSTS, simulation, needs: SIZES.map((users) => needs(users, simulation)) })}\n`,
    )
  else process.stdout.write(table(HEADERS, columns(simulation)))
}
