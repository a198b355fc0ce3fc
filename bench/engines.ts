/** `node bench/engines.ts`: the grants on PostgreSQL beside SQLite, with the database on the same machine as its server. */
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { systemRandom } from '../src/system.ts'
import { type Browser, type Code, openBrowser, redemption } from './code-flow.ts'
import { type Progress, runBenchCommand } from './command.ts'
import { compare } from './compare.ts'
import { clientCredentials, measure, type Scenario } from './measure.ts'
import { asTable, type ScenarioReport } from './report.ts'
import { startKeyturn } from './servers/keyturn.ts'
import { cpuOfPostgres, startDurablePostgres } from './servers/postgres.ts'
import { MAX_CONCURRENT_SIGN_INS } from './sign-in.ts'
import { type StoredSessions, storedSessions } from './stored.ts'
import type { Subject } from './subject.ts'

const HELP = `node bench/engines.ts [options]

  --rounds <n>        rounds per server and grant, in turn (5)
  --seconds <n>       length of a round (1.5)
  --connections <n>   concurrent requests (16)
  --codes <n>         authorization codes of a round (1500)
  --warmup <n>        seconds of load on each server before the first round (3)
  --json              print one JSON document
`

/** Takes about two minutes. */
export const ENGINES = { rounds: 5, seconds: 1.5, connections: 16, codes: 1500, warmup: 3 }

export type EnginesReport = readonly ScenarioReport[]

/** Each connection loses a session when its round ends. */
const SESSIONS = 2048

interface Installation {
  readonly subject: Subject
  readonly sessions: StoredSessions
  readonly codes: Scenario
}

export async function benchEngines(options: typeof ENGINES, progress: Progress): Promise<EnginesReport> {
  const { rounds, seconds, connections, warmup } = options
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const cleanups: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  const owner = { teardown: (end: () => unknown) => void cleanups.push(end) }
  const root = resolve(import.meta.dirname, '..')

  async function install(name: string, url?: string): Promise<Installation> {
    const sessions = storedSessions(SESSIONS)
    const database = url === undefined ? {} : { KEYTURN_DATABASE_URL: url }
    const settings = { KEYTURN_MASTER_KEY: systemRandom.bytes(32).toString('base64url'), ...database }
    const server = await startKeyturn(name, root, join(folder, name), { settings, fill: sessions.fill })
    owner.teardown(() => server.stop())
    const subject = url === undefined ? server : { ...server, storeCpu: await cpuOfPostgres(url) }
    return { subject, sessions, codes: redeemedCodes(options.codes) }
  }

  try {
    const postgres = await startDurablePostgres(owner)
    const installations = [
      await install('PostgreSQL', await postgres.emptyDatabase()),
      await install('SQLite'),
    ]
    const grants: [name: string, (installation: Installation) => Scenario][] = [
      ['client_credentials', () => clientCredentials],
      ['refresh_token', ({ sessions }) => sessions.scenario],
      ['authorization_code', ({ codes }) => codes],
    ]
    const reports: ScenarioReport[] = []
    for (const [name, scenarioOf] of grants) {
      const scenarios = new Map(
        installations.map((installation) => [installation.subject, scenarioOf(installation)]),
      )
      reports.push(
        await compare({
          name,
          subjects: [...scenarios.keys()],
          measureRound: (subject, load) => measure(subject, scenarios.get(subject) as Scenario, load),
          rounds,
          load: { connections, seconds },
          warmup,
          progress,
        }),
      )
    }
    return reports
  } finally {
    for (const end of cleanups.reverse()) await end()
  }
}

/** Redeems codes that browsers with a session have been given before the round. */
function redeemedCodes(amount: number): Scenario {
  const agent = new Agent({ keepAlive: true })
  let browsers: readonly Browser[] | undefined
  return {
    name: 'authorization_code',
    amount,
    async prepare(subject) {
      browsers ??= Array.from({ length: MAX_CONCURRENT_SIGN_INS }, (_, i) => openBrowser(subject, agent, i))
      const codes: Code[] = []
      const authorizeRepeatedly = async (browser: Browser) => {
        while (codes.length < amount) codes.push(await browser.authorize())
      }
      await Promise.all(browsers.map(authorizeRepeatedly))
      return (client) =>
        client.setRequests([
          {
            setupRequest: (request) => {
              const code = codes.pop()
              return { ...request, body: code ? redemption(code).toString() : '' }
            },
          },
        ])
    },
  }
}

export const enginesTable = (reports: EnginesReport): string => reports.map(asTable).join('\n')

if (import.meta.main)
  await runBenchCommand({ help: HELP, defaults: ENGINES, run: benchEngines, asTable: enginesTable })
