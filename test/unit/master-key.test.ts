import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createMasterKey, InvalidMasterKey, masterKeyFile, readMasterKey } from '../../src/keys/master-key.ts'
import { systemRandom } from '../../src/system.ts'
import { script, source } from '../support/processes/script.ts'

const KEY = Buffer.alloc(32, 9)

/** A folder with a valid key in it, or with this text instead. */
function folderWith(t: Pick<Test, 'testdir'>, text = `${KEY.toString('base64url')}\n`): string {
  const folder = t.testdir()
  writeFileSync(masterKeyFile(folder), text, { mode: 0o600 })
  return folder
}

t.test('a new master key is 32 random bytes in a file with mode 0600', async (t) => {
  const before = process.umask(0)
  t.teardown(() => process.umask(before))
  const folder = join(t.testdir(), 'deep', 'keys')
  const key = createMasterKey(folder, systemRandom)
  t.equal(key.length, 32)
  t.equal(statSync(masterKeyFile(folder)).mode & 0o777, 0o600)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.equal(readFileSync(masterKeyFile(folder), 'utf8'), `${key.toString('base64url')}\n`)
  t.same(readMasterKey(folder), key)
  t.same(readdirSync(folder), ['master.key'], 'no temporary file remains')
})

t.test('an empty or missing folder has no master key', async (t) => {
  const folder = t.testdir()
  t.equal(readMasterKey(folder), null)
  t.equal(readMasterKey(join(folder, 'missing')), null)
})

t.test(
  'an existing master key is never replaced: a second creator gets the first one’s key (docs/security.md Q8)',
  async (t) => {
    const folder = folderWith(t)
    t.same(createMasterKey(folder, systemRandom), KEY)
    t.same(readMasterKey(folder), KEY)
    t.same(readdirSync(folder), ['master.key'])
  },
)

t.test('a damaged master key is never replaced (docs/security.md Q8)', async (t) => {
  const folder = folderWith(t, 'damaged')
  t.throws(() => createMasterKey(folder, systemRandom), InvalidMasterKey)
  t.equal(readFileSync(masterKeyFile(folder), 'utf8'), 'damaged')
})

t.test('a temporary file left by a killed process is harmless', async (t) => {
  const folder = t.testdir()
  for (const name of ['x', String(process.pid)]) writeFileSync(`${masterKeyFile(folder)}.${name}.new`, 'half')
  const key = createMasterKey(folder, systemRandom)
  t.same(readMasterKey(folder), key)
})

t.test('of concurrent creators one wins, and all get its key (docs/security.md Q9)', async (t) => {
  const folder = join(t.testdir(), 'keys')
  const code = `
    const { createMasterKey } = await import(${JSON.stringify(source('keys/master-key.ts'))})
    const { systemRandom } = await import(${JSON.stringify(source('system.ts'))})
    // As in containers that share a volume, where every process has pid 1.
    Object.defineProperty(process, 'pid', { value: 1 })
    const [folder, at] = process.argv.slice(1)
    while (Date.now() < Number(at));
    for (let i = 0; i < 20; i += 1) console.log(createMasterKey(folder + i, systemRandom).toString('base64url'))`
  const at = String(Date.now() + 500)
  const all = await Promise.all(Array.from({ length: 6 }, () => script(code, [folder, at])))
  const [first] = all
  t.equal(first?.stdout.trim().split('\n').length, 20, first?.stderr ?? '')
  for (const { code: exit, stdout, stderr } of all) {
    t.equal(exit, 0, stderr)
    t.equal(stdout, first?.stdout)
  }
  const files = Array.from({ length: 20 }, (_, i) => readFileSync(masterKeyFile(folder + i), 'utf8'))
  t.equal(files.join(''), first?.stdout, 'and it is the one in the file')
})

t.test(
  'a master key readable by other users is refused with the command that fixes it (docs/security.md Q8)',
  async (t) => {
    const folder = folderWith(t)
    const file = masterKeyFile(folder)
    for (const mode of [0o644, 0o640, 0o604, 0o620, 0o610, 0o601, 0o602, 0o666, 0o777]) {
      chmodSync(file, mode)
      t.throws(
        () => readMasterKey(folder),
        { name: 'InvalidMasterKey', message: `${file} can be read by others: chmod 600 ${file}` },
        mode.toString(8),
      )
    }
    for (const mode of [0o600, 0o400]) {
      chmodSync(file, mode)
      t.same(readMasterKey(folder), KEY, mode.toString(8))
    }
  },
)

t.test(
  'a damaged, truncated or empty master key is refused without repeating its text (docs/security.md Q8)',
  async (t) => {
    const good = KEY.toString('base64url')
    const damaged = [
      '',
      '\n',
      good.slice(0, -1),
      `${good.slice(0, -1)}l`, // the last character’s spare bits
      `${good}A`,
      `${good}=`,
      `${good}\n${good}`,
      KEY.toString('hex'),
      `!${good.slice(1)}`,
      `\0${good.slice(1)}`,
    ]
    for (const text of damaged) {
      const folder = folderWith(t, text)
      t.throws(() => readMasterKey(folder), {
        name: 'InvalidMasterKey',
        message: `${masterKeyFile(folder)} is damaged: it must contain 32 bytes in base64url; restore it from a backup`,
      })
    }
    t.same(readMasterKey(folderWith(t, good)), KEY, 'a missing line end is accepted')
  },
)

t.test(
  'a folder, or a link to one, in place of the master key is refused (docs/security.md Q8)',
  async (t) => {
    const folder = t.testdir({ elsewhere: {} })
    const file = masterKeyFile(folder)
    mkdirSync(file)
    const refusal = { name: 'InvalidMasterKey', message: `${file} is not a file` }
    t.throws(() => readMasterKey(folder), refusal)
    rmSync(file, { recursive: true })
    symlinkSync(join(folder, 'elsewhere'), file)
    t.throws(() => readMasterKey(folder), refusal)
  },
)

t.test('a link to a master key is followed, and a dangling link is not filled', async (t) => {
  const folder = folderWith(t)
  const other = join(folder, 'other')
  mkdirSync(other)
  symlinkSync(masterKeyFile(folder), masterKeyFile(other))
  t.same(readMasterKey(other), KEY)

  rmSync(masterKeyFile(folder))
  t.throws(() => createMasterKey(other, systemRandom), {
    name: 'InvalidMasterKey',
    message: /cannot be created/,
  })
  t.notOk(existsSync(masterKeyFile(folder)))
})

t.test('a key folder that is a file is reported in one sentence', async (t) => {
  const folder = join(t.testdir({ keys: 'x' }), 'keys')
  t.throws(() => readMasterKey(folder), { name: 'InvalidMasterKey', message: /cannot be read \(ENOTDIR\)/ })
  t.throws(() => createMasterKey(folder, systemRandom), InvalidMasterKey)
})

const root = process.getuid?.() === 0
t.test('an unreadable master key is refused, not replaced (docs/security.md Q8)', async (t) => {
  const folder = folderWith(t)
  chmodSync(masterKeyFile(folder), 0o000)
  const code = `
    const { readMasterKey } = await import(${JSON.stringify(source('keys/master-key.ts'))})
    try { readMasterKey(process.argv[1]); console.log('read') } catch (error) { console.log(error.name, error.message) }`
  // The superuser can read every file, so another user must try.
  const { stdout, stderr } = await script(code, [folder], root ? { uid: 65_534, cwd: '/' } : {})
  if (stdout === '')
    t.comment(`WARNING: NOT tested, no other user can run node here: ${stderr.split('\n')[0]}`)
  else t.match(stdout, /^InvalidMasterKey .*master\.key cannot be read \(EACCES\)/)
})
