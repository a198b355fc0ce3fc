/**
 * `node bench/algorithms.ts`: client_credentials with each signature algorithm, as bearer tokens and bound to a DPoP key (RFC 9449), beside
 * oidc-provider and a bare route that sign with the same algorithm. The proofs are signed before each round, so they cost the load nothing.
 */
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Progress, runBenchCommand } from './command.ts'
import { clientCredentials, type Load, type Measurement, measure, type Scenario } from './measure.ts'
import { asTable, median, report, type ScenarioReport } from './report.ts'
import { startBare, startOidcProvider } from './servers/index.ts'
import { startKeyturn } from './servers/keyturn.ts'
import { SCOPE, type Subject } from './subject.ts'

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const

const HELP = `node bench/algorithms.ts [options]

  --rounds <n>        rounds per server, in turn (5)
  --seconds <n>       length of a round (2)
  --connections <n>   concurrent requests (16)
  --json              print one JSON document
`

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const HEADER = base64url({ typ: 'dpop+jwt', alg: 'ES256', jwk: publicKey.export({ format: 'jwk' }) })

function proof(htu: string): string {
  const input = `${HEADER}.${base64url({ jti: randomUUID(), htm: 'POST', htu, iat: Math.floor(Date.now() / 1000) })}`
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** More than any server answers in a second. */
const PROOFS_PER_SECOND = 12_000

/** Each request has a proof of its own, because no proof is accepted twice. */
const withProofs: Scenario = {
  name: 'client_credentials with DPoP',
  async prepare({ issuer, tokenUrl }, { seconds }) {
    const htu = new URL(new URL(tokenUrl).pathname, issuer).href
    const proofs = Array.from({ length: PROOFS_PER_SECOND * seconds }, () => proof(htu))
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPE }).toString()
    return (client) =>
      client.setRequests([
        {
          setupRequest: (request) => ({
            ...request,
            body,
            headers: { ...request.headers, dpop: proofs.pop() ?? '' },
          }),
        },
      ])
  },
}

export interface AlgorithmsReport {
  readonly reports: readonly ScenarioReport[]
  /** Keyturn's tokens a second ÷ those with RS256, as bearer tokens. */
  readonly toRs256: Readonly<Record<string, number>>
}

export async function benchAlgorithms({
  rounds,
  load,
  progress,
}: {
  readonly rounds: number
  readonly load: Load
  readonly progress: Progress
}): Promise<AlgorithmsReport> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const root = resolve(import.meta.dirname, '..')
  const groups: { alg: string; subjects: Subject[] }[] = []
  try {
    for (const alg of ALGORITHMS)
      groups.push({
        alg,
        subjects: [
          await startKeyturn('Keyturn', root, join(folder, alg), { settings: { KEYTURN_ALGORITHMS: alg } }),
          await startOidcProvider(alg),
          await startBare(alg),
        ],
      })
    const cases = groups.flatMap(({ alg, subjects }) => [
      { name: `${alg}, bearer`, scenario: clientCredentials, subjects },
      { name: `${alg}, DPoP`, scenario: withProofs, subjects: subjects.slice(0, 2) },
    ])
    const results = new Map<string, Measurement[]>()
    const keyOf = (name: string, subject: Subject) => `${name} ${subject.name}`
    for (let i = 0; i <= rounds; i += 1) {
      for (const { name, scenario, subjects } of cases) {
        for (const subject of subjects) {
          const result = await measure(subject, scenario, load)
          progress(
            `${name}: ${i === 0 ? 'warm-up' : `round ${i}/${rounds}`} ${subject.name} ${Math.round(result.perSecond)}/s`,
          )
          if (i > 0) results.set(keyOf(name, subject), [...(results.get(keyOf(name, subject)) ?? []), result])
        }
      }
    }
    const reports = cases.map(({ name, subjects }) =>
      report(
        name,
        subjects.map((subject) => ({ ...subject, rounds: results.get(keyOf(name, subject)) ?? [] })),
      ),
    )
    const rates = (alg: string) =>
      reports.find(({ scenario }) => scenario === `${alg}, bearer`)?.lines[0]?.rounds ?? []
    const ratio = (alg: string) =>
      median(rates(alg).map((rate, i) => rate / (rates('RS256')[i] ?? Number.NaN)))
    return {
      reports,
      toRs256: Object.fromEntries(ALGORITHMS.map((alg) => [alg, Number(ratio(alg).toFixed(2))])),
    }
  } finally {
    for (const { subjects } of groups) await Promise.all(subjects.map((subject) => subject.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
}

export function algorithmsTable({ reports, toRs256 }: AlgorithmsReport): string {
  const ratios = Object.entries(toRs256).map(([alg, ratio]) => `${alg} ${ratio.toFixed(2)}`)
  return `${reports.map(asTable).join('\n')}\nKeyturn ÷ Keyturn with RS256: ${ratios.join(', ')}\n`
}

if (import.meta.main)
  await runBenchCommand({
    help: HELP,
    defaults: { rounds: 5, seconds: 2, connections: 16 },
    run: ({ rounds, ...load }, progress) => benchAlgorithms({ rounds, load, progress }),
    asTable: algorithmsTable,
  })
