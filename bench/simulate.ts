/**
 * `node bench/simulate.ts`: what an installation of a given size needs. A sample of sessions lives through a few weeks, event by
 * event; what it does is scaled to all of them and multiplied with what one operation costs, as measured by bench/scale.ts
 * and bench/run.ts. With --write the tables of docs/scale.md are made anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { constants, deflateSync } from 'node:zlib'
import { table } from '../src/cli/output.ts'

/** What one operation costs on PostgreSQL. Change it to what your machines measure. */
export const COSTS = {
  /** Processor milliseconds of a node: bench/run.ts, bench/scale.ts. Without the password's hash, which is beside it. */
  token_ms: 0.35,
  refresh_ms: 0.75,
  sign_in_ms: 5.7,
  argon2_ms: 17.2,
  /** Processor milliseconds of PostgreSQL, and bytes of its log: bench/scale.ts. */
  refresh_store_ms: 0.37,
  refresh_log_bytes: 550,
  /** Not measured: a sign-in writes the sign-in, the code, the session and the throttle, four refreshes' worth. */
  sign_in_store_ms: 1.5,
  sign_in_log_bytes: 4000,
  sign_in_commits: 4,
  /** On disk with indexes, and a tenth of its person: bench/scale.ts. An update leaves the old row until the vacuum. */
  session_bytes: 400,
  /** Not measured. */
  user_bytes: 400,
  /** How full cores may be at the peak: a choice. */
  utilisation: 0.6,
}
export type Costs = typeof COSTS

/** How people and services use it. */
export const USAGE = {
  /** Live sessions a person: applications on devices. */
  sessions_per_user: 2,
  /** Of a session: times a day its application is opened, and for how long. */
  uses_per_day: 2,
  use_minutes: 20,
  access_ttl_s: 600,
  idle_ttl_days: 7,
  absolute_ttl_days: 30,
  /** Ended sessions are remembered for a day. */
  memory_days: 1,
  /** Share of sessions that are signed out of before their time, over their whole life. */
  sign_out_share: 0.2,
  /** Service processes for a thousand people, at least three; each asks for a token once an access token's lifetime. */
  services_per_thousand: 0.1,
  /** Verifying processes fetch the JWKS and each status list as often as the headers say. */
  jwks_max_age_s: 300,
  status_ttl_s: 10,
}
export type Usage = typeof USAGE

/** A list has this many places, a bit each; sessions are given consecutive ones in turn. */
const LIST_SIZE = 2 ** 20
const DAY = 86_400
const HOUR = 3600
const SAMPLE = 1500
const DAYS = 45
/** The first month only fills the store. */
const WARM_DAYS = 31

export interface Sample {
  /** Of one live session, a second: over the whole time, and in the busiest hour of the day. */
  readonly refreshes: number
  readonly refreshesAtPeak: number
  readonly signIns: number
  readonly signInsAtPeak: number
  /** Rows for each live session, those included that are only remembered. */
  readonly rows: number
  /** Places in status lists that are kept for each live session. */
  readonly places: number
  /** Of these, taken back. */
  readonly takenBack: number
  /** What began and did not end is still there. */
  readonly begun: number
  readonly forgotten: number
  readonly left: number
}

interface Session {
  readonly born: number
  readonly dies: number
  readonly signedOutAt: number
  lastUse: number
}

/** Numbers that look random and are the same each time (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** How many times as much as on average at this second of the day: quiet at four, busiest at sixteen o'clock. */
const daytime = (second: number): number => 1 - 0.9 * Math.cos(((second / HOUR - 4) / 24) * 2 * Math.PI)

/** People who each always have one session: when it ends, they sign in again at their next use. */
export function simulateSample(usage: Usage, people = SAMPLE, seed = 1): Sample {
  const random = numbers(seed)
  const hours = { refreshes: new Array<number>(24).fill(0), signIns: new Array<number>(24).fill(0) }
  const totals = { refreshes: 0, signIns: 0, begun: 0, forgotten: 0, left: 0 }
  /** Moments at which somebody's row appears, or goes. */
  let rows = 0
  let live = 0
  let takenBack = 0
  const seconds = DAYS * DAY
  const counted = (at: number) => at >= WARM_DAYS * DAY && at < seconds
  /** Seconds of the counted time in which something was there. */
  const overlap = (from: number, to: number) =>
    Math.max(0, Math.min(to, seconds) - Math.max(from, WARM_DAYS * DAY))

  for (let person = 0; person < people; person += 1) {
    let session: Session | undefined
    let at = random() * DAY
    const end = (ended: Session, when: number) => {
      const goes = when + usage.memory_days * DAY
      live += overlap(ended.born, when)
      rows += overlap(ended.born, goes)
      if (when === ended.signedOutAt) takenBack += overlap(when, ended.dies)
      if (goes < seconds) totals.forgotten += 1
      else totals.left += 1
    }
    for (;;) {
      at += nextUse(at)
      if (session) {
        const idle = session.lastUse + usage.idle_ttl_days * DAY
        const over = Math.min(session.dies, session.signedOutAt, idle)
        if (at >= over) {
          end(session, over)
          session = undefined
        }
      }
      if (at >= seconds) break
      if (!session) {
        const dies = at + usage.absolute_ttl_days * DAY
        const early = random() < usage.sign_out_share
        session = {
          born: at,
          dies,
          signedOutAt: early ? at + random() * usage.absolute_ttl_days * DAY : Number.POSITIVE_INFINITY,
          lastUse: at,
        }
        totals.begun += 1
        if (counted(at)) count('signIns', at)
      }
      // Each use begins with an access token that has expired, and renews it until the application is closed.
      const renewals = 1 + Math.floor((usage.use_minutes * 60) / usage.access_ttl_s)
      for (let i = 0; i < renewals; i += 1) {
        const when = at + i * usage.access_ttl_s
        if (when >= Math.min(session.dies, session.signedOutAt)) break
        session.lastUse = when
        if (counted(when)) count('refreshes', when)
      }
    }
    if (session) {
      const idle = session.lastUse + usage.idle_ttl_days * DAY
      end(session, Math.min(session.dies, session.signedOutAt, idle, seconds))
    }
  }

  // An hour of the day comes once a day.
  const busiestHour = (counts: readonly number[]) => (Math.max(...counts) * 24) / live
  return {
    refreshes: totals.refreshes / live,
    refreshesAtPeak: busiestHour(hours.refreshes),
    signIns: totals.signIns / live,
    signInsAtPeak: busiestHour(hours.signIns),
    rows: rows / live,
    places: (totals.signIns / live) * usage.absolute_ttl_days * DAY,
    takenBack: takenBack / live,
    begun: totals.begun,
    forgotten: totals.forgotten,
    left: totals.left,
  }

  function count(what: keyof typeof hours, at: number): void {
    totals[what] += 1
    const slot = Math.floor((at % DAY) / HOUR)
    hours[what][slot] = (hours[what][slot] ?? 0) + 1
  }

  /** Thinning: as often as at the busiest moment, and then left out as often as the hour asks. */
  function nextUse(from: number): number {
    const busiest = (usage.uses_per_day * 1.9) / DAY
    let at = from
    do at -= Math.log(1 - random()) / busiest
    while (random() > daytime(at % DAY) / 1.9)
    return at - from
  }
}

export interface Needs {
  readonly users: number
  readonly sessions: number
  /** A second, on average and in the busiest hour. */
  readonly refreshes: number
  readonly refreshes_peak: number
  readonly sign_ins_peak: number
  readonly service_tokens: number
  /** Processors, in the busiest hour. */
  readonly node_cores: number
  readonly argon2_cores: number
  readonly store_cores: number
  readonly commits_peak: number
  readonly log_mb_peak: number
  readonly rows: number
  readonly disk_gb: number
  readonly lists: number
  /** Of one list as it is served. */
  readonly list_kb: number
  /** Of one verifier that meets the tokens of everybody. */
  readonly lists_mb_s: number
  /** All verifiers together. */
  readonly verifiers: number
  readonly jwks_per_s: number
}

export function needs(users: number, sample: Sample, usage: Usage = USAGE, costs: Costs = COSTS): Needs {
  const sessions = users * usage.sessions_per_user
  const refreshes = sessions * sample.refreshesAtPeak
  const signIns = sessions * sample.signInsAtPeak
  const verifiers = Math.max(3, Math.ceil((users / 1000) * usage.services_per_thousand))
  const tokens = verifiers / usage.access_ttl_s
  const busy = (milliseconds: number) => milliseconds / 1000 / costs.utilisation
  const rows = sessions * sample.rows
  const lists = Math.ceil((sessions * sample.places) / LIST_SIZE)
  const listKb = listBytes(sample.takenBack / sample.places) / 1000
  const argon2 = busy(signIns * costs.argon2_ms)
  return {
    users,
    sessions,
    refreshes: sessions * sample.refreshes,
    refreshes_peak: refreshes,
    sign_ins_peak: signIns,
    service_tokens: tokens,
    node_cores:
      argon2 + busy(refreshes * costs.refresh_ms + signIns * costs.sign_in_ms + tokens * costs.token_ms),
    argon2_cores: argon2,
    store_cores: busy(refreshes * costs.refresh_store_ms + signIns * costs.sign_in_store_ms),
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

/** As served: compressed as the publisher does it, and in base64url. */
function listBytes(share: number): number {
  const random = numbers(2)
  const bits = new Uint8Array(LIST_SIZE / 8)
  for (let i = 0; i < LIST_SIZE; i += 1)
    if (random() < share) bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7))
  return (deflateSync(bits, { level: 9, strategy: constants.Z_RLE }).length * 4) / 3
}

export const SIZES = [1000, 100_000, 1_000_000, 10_000_000, 100_000_000]

/** Two figures are all that can be believed. */
function figure(value: number): string {
  if (value >= 100) return Number(value.toPrecision(2)).toLocaleString('en-US')
  return value >= 0.095 ? String(Number(value.toPrecision(2))) : '< 0.1'
}

const ROWS: readonly (readonly [string, (one: Needs) => string])[] = [
  ['live sessions', (one) => figure(one.sessions)],
  ['refreshes a second, mean', (one) => figure(one.refreshes)],
  ['refreshes a second, busiest hour', (one) => figure(one.refreshes_peak)],
  ['sign-ins a second, busiest hour', (one) => figure(one.sign_ins_peak)],
  ['node cores', (one) => figure(one.node_cores)],
  ['of these for argon2', (one) => figure(one.argon2_cores)],
  ['PostgreSQL cores', (one) => figure(one.store_cores)],
  ['commits a second', (one) => figure(one.commits_peak)],
  ['WAL, MB a second', (one) => figure(one.log_mb_peak)],
  ['session rows', (one) => figure(one.rows)],
  ['sessions and users on disk, GB', (one) => figure(one.disk_gb)],
  ['status lists of sessions', (one) => figure(one.lists)],
  ['one list as served, kB', (one) => figure(one.list_kb)],
  ['all lists to one verifier, MB a second', (one) => figure(one.lists_mb_s)],
  ['verifying processes', (one) => figure(one.verifiers)],
  ['JWKS requests a second, all of them', (one) => figure(one.jwks_per_s)],
]

export function columns(sample: Sample): readonly (readonly string[])[] {
  const all = SIZES.map((users) => needs(users, sample))
  return ROWS.map(([name, show]) => [name, ...all.map(show)])
}

export const HEADS = ['users', ...SIZES.map((users) => users.toLocaleString('en-US'))]

const BEGIN = '<!-- node bench/simulate.ts --write: begin -->'
const END = '<!-- end -->'

/** The page with the tables made anew. */
export function rewrite(page: string, sample: Sample): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const made = [row(HEADS), row(HEADS.map(() => '---')), ...columns(sample).map(row)].join('\n')
  const [before, rest] = page.split(BEGIN)
  const after = rest?.split(END)[1]
  if (after === undefined) throw new Error(`docs/scale.md has lost its marks`)
  return `${before}${BEGIN}\n${made}\n${END}${after}`
}

export const PAGE = new URL('../docs/scale.md', import.meta.url)

if (import.meta.main) {
  const { values } = parseArgs({
    options: { write: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  })
  const sample = simulateSample(USAGE)
  if (values.write) writeFileSync(PAGE, rewrite(readFileSync(PAGE, 'utf8'), sample))
  if (values.json)
    process.stdout.write(
      `${JSON.stringify({ usage: USAGE, costs: COSTS, sample, needs: SIZES.map((users) => needs(users, sample)) })}\n`,
    )
  else process.stdout.write(table(HEADS, columns(sample)))
}
