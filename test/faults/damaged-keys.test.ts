/** Encrypted keys that are damaged in the store, while nodes serve. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { type Cluster, startCluster } from '../support/processes/cluster.ts'
import type { ServerProcess } from '../support/processes/process.ts'
import { clientCredentials, kidOf } from '../support/server/requests.ts'

const postgres = await startPostgres(t)

const status = async (node: ServerProcess, url: string) => (await node.inject({ url })).statusCode
const jwksOf = async (node: ServerProcess) => (await node.inject({ url: '/.well-known/jwks.json' })).body

/** Changes a letter in the middle of a ciphertext, as a failing disk or an edit could. */
function damagedText(text: string): string {
  const at = Math.floor(text.length / 2)
  return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
}

async function world(t: Test) {
  const database = await postgres.emptyDatabase()
  const cluster = await startCluster(t, { database, nodes: 2 })
  const ring = () => run(database, 'SELECT * FROM ring_keys ORDER BY kid').then(({ rows }) => rows)
  return {
    ...cluster,
    database,
    ring,
    async damage(state: 'active' | 'next'): Promise<string> {
      const key = (await ring()).find((row) => row.state === state)
      await run(
        database,
        `UPDATE ring_keys SET encrypted_private_key = '${damagedText(key.encrypted_private_key)}' WHERE kid = '${key.kid}'`,
      )
      return key.kid
    },
  }
}

type World = Awaited<ReturnType<typeof world>>

/** One line and exit code 1, and the ring is unchanged: it is never replaced by a new one. */
async function refused(t: Test, { run: command, ring }: World, args: readonly string[], kid: string) {
  const before = await ring()
  const { code, stderr } = await command(args)
  t.equal(code, 1, stderr)
  t.match(
    stderr,
    new RegExp(`(^|\\n)keyturn: the private key ${kid} cannot be decrypted: the text is damaged.*\\n$`),
  )
  t.same(await ring(), before)
}

async function stillServe(t: Test, { nodes }: Pick<Cluster, 'nodes'>): Promise<void> {
  for (const node of nodes) {
    t.equal((await clientCredentials(node)).statusCode, 200)
    t.equal(await status(node, '/health/ready'), 200)
  }
}

t.test(
  'with a damaged active key running nodes continue, new ones refuse to start, and a rotation repairs it (docs/security.md Q8)',
  async (t) => {
    const w = await world(t as Test)
    const kid = await w.damage('active')
    await stillServe(t as Test, w)
    await refused(t as Test, w, ['serve'], kid)
    const { stdout } = await w.run(['doctor', '--json'])
    t.match(stdout, /cannot be decrypted: the text is damaged/)

    await w.json(['keys', 'rotate'])
    await w.everywhere(async (node) => kidOf((await clientCredentials(node)).json().access_token) !== kid)
    await w.start()
    await stillServe(t as Test, w)
  },
)

t.test(
  'a damaged next key in a cluster never becomes active, and revoking it repairs the key ring (docs/security.md Q8)',
  async (t) => {
    const w = await world(t as Test)
    const kid = await w.damage('next')
    await stillServe(t as Test, w)
    await refused(t as Test, w, ['serve'], kid)
    await refused(t as Test, w, ['keys', 'rotate', '--force'], kid)
    await w.json(['keys', 'revoke', kid])
    await w.json(['keys', 'rotate', '--force'])
    await w.start()
    await stillServe(t as Test, w)
  },
)

t.test(
  'with a damaged data key running nodes continue, new ones refuse to start, and nothing is recreated (docs/security.md Q8)',
  async (t) => {
    const w = await world(t as Test)
    const dataKeys = () => run(w.database, 'SELECT * FROM data_keys ORDER BY number').then(({ rows }) => rows)
    const [sound, ...others] = await dataKeys()
    t.same(others, [])
    await run(w.database, `UPDATE data_keys SET encrypted = '${damagedText(sound.encrypted)}'`)
    const damaged = await dataKeys()
    await stillServe(t as Test, w)
    const { code, stderr } = await w.run(['serve'])
    t.equal(code, 1)
    t.match(stderr, /(^|\n)keyturn: the data key 1 cannot be decrypted: the text is damaged.*\n$/)
    t.same(await dataKeys(), damaged)
    await run(w.database, `UPDATE data_keys SET encrypted = '${sound.encrypted}'`)
    await w.start()
    await stillServe(t as Test, w)
  },
)

t.test(
  'after a damaged key became active the last good key ring is served, and the node is unready (docs/security.md Q8)',
  async (t) => {
    const w = await world(t as Test)
    const [node, other] = [w.at(0), w.at(1)]
    const before = await jwksOf(node)
    const saved = await w.ring()
    const bad = await w.damage('next')
    // No command of Keyturn would do this.
    await run(
      w.database,
      `BEGIN; UPDATE ring_keys SET state = 'retiring', encrypted_private_key = NULL WHERE state = 'active';
     UPDATE ring_keys SET state = 'active' WHERE kid = '${bad}';
     UPDATE ring SET version = version + 1; UPDATE revisions SET value = value + 1 WHERE name = 'ring'; COMMIT`,
    )
    for (const one of [node, other]) while ((await status(one, '/health/ready')) !== 503) await sleep(20)
    t.equal(await jwksOf(node), before)
    const answer = await clientCredentials(node)
    if (answer.statusCode === 200) t.not(kidOf(answer.json().access_token), bad)
    else t.equal(answer.statusCode, 503)
    t.equal(await status(node, '/health/live'), 200)
    t.match(node.stderr(), /cannot be decrypted: the text is damaged/)

    const [active, next] = ['active', 'next'].map((state) => saved.find((row) => row.state === state))
    await run(
      w.database,
      `BEGIN; UPDATE ring_keys SET state = 'next', encrypted_private_key = '${next.encrypted_private_key}' WHERE kid = '${next.kid}';
     UPDATE ring_keys SET state = 'active', encrypted_private_key = '${active.encrypted_private_key}' WHERE kid = '${active.kid}';
     UPDATE ring SET version = version + 1; UPDATE revisions SET value = value + 1 WHERE name = 'ring'; COMMIT`,
    )
    for (const one of [node, other]) while ((await status(one, '/health/ready')) !== 200) await sleep(20)
    await stillServe(t as Test, w)
  },
)
