import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createLogger } from '../../src/log/logger.ts'
import { withoutSecrets } from '../../src/log/secrets.ts'

t.test('an object without secrets is logged unchanged and not copied', async (t) => {
  const fields = { audit: 'token.issued', deep: { list: [1, { name: 'x' }] } }
  t.equal(withoutSecrets(fields), fields)
})

t.test(
  'secrets are removed from nested plain objects and arrays, and the original is unchanged',
  async (t) => {
    const fields = {
      password: 'p',
      headers: { Authorization: 'Basic x', DPoP: 'proof', cookie: 'c', accept: '*/*' },
      list: [{ refresh_token: 'r', n: 1 }, 'text', { n: 2 }],
      left: { alone: true },
    }
    const before = structuredClone(fields)
    t.same(withoutSecrets(fields), {
      headers: { accept: '*/*' },
      list: [{ n: 1 }, 'text', { n: 2 }],
      left: { alone: true },
    })
    t.same(fields, before)
  },
)

t.test('a cyclic object is logged without its secret at any depth', async (t) => {
  const circle: Record<string, unknown> = { code: 'secret' }
  circle.self = circle
  t.notMatch(JSON.stringify(withoutSecrets(circle)), 'secret')
})

t.test('a logged request has its path without the query, and an IPv4 address as IPv4', async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'keyturn-log-')), 'log')
  const logger = createLogger({ level: 'info', pretty: false, destination: file })
  logger.info({ req: { method: 'GET', url: '/x?code=hush', ip: '::ffff:192.0.2.1' } }, 'request')
  logger.info({ req: { method: 'GET', url: '/x', ip: '2001:db8::1' } }, 'request')
  while (readFileSync(file, 'utf8').split('\n').length < 3) await new Promise(setImmediate)
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  t.same(
    lines.map((line) => JSON.parse(line).req),
    ['192.0.2.1', '2001:db8::1'].map((ip) => ({ method: 'GET', path: '/x', ip })),
  )
})

t.test('a logged error keeps its code and loses request data', async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'keyturn-log-')), 'log')
  const logger = createLogger({ level: 'info', pretty: false, destination: file })
  const error = Object.assign(new Error('no space'), {
    code: 'ENOSPC',
    options: { headers: { authorization: 'Basic hush-hush' } },
    access_token: 'hush-hush',
  })
  logger.error({ err: error, token: 'hush-hush' }, 'failed')
  logger.error({ err: 'plain words' }, 'failed')
  await t.resolves(
    (async () => {
      while (readFileSync(file, 'utf8').split('\n').length < 3) await new Promise(setImmediate)
    })(),
  )
  const text = readFileSync(file, 'utf8')
  t.notMatch(text, 'hush-hush')
  const [first, second] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.equal(first.err.code, 'ENOSPC')
  t.equal(first.err.message, 'no space')
  t.equal(second.err, 'plain words')
})

t.test(
  'readable log lines contain no control character that a stranger has sent (docs/security.md R2)',
  async (t) => {
    const file = join(mkdtempSync(join(tmpdir(), 'keyturn-log-')), 'log')
    const logger = createLogger({ level: 'info', pretty: true, destination: file })
    const hostile = 'x\u001B]0;owned\u0007\u009B2J\r\u202E'
    logger.error(
      { username: hostile, deep: { list: [hostile] }, err: new Error(hostile) },
      `failed: ${hostile}`,
    )
    await t.resolves(
      (async () => {
        while (!/list/.test(readFileSync(file, 'utf8'))) await new Promise(setImmediate)
      })(),
    )
    // Only the colours, which pino-pretty adds, begin like this.
    const text = readFileSync(file, 'utf8').replaceAll('\u001B[', '')
    t.notMatch(text, /[^\P{C}\n]/u)
    t.match(text, 'failed: x\\u001b]0;owned\\u0007\\u009b2J')
  },
)
