import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { exposedMessage, readSecretFile } from '../../src/secret-file.ts'

const OWN_EXPOSED = [0o644, 0o640, 0o604, 0o620, 0o610, 0o601, 0o602, 0o666, 0o777]
const OWN_SECRET = [0o600, 0o400, 0o700]

function secretFile(t: Pick<Test, 'testdir'>): string {
  const file = join(t.testdir({}), 'secret')
  writeFileSync(file, 'hush')
  return file
}

t.test('a file of this user that others can read or change is exposed (docs/security.md R3)', async (t) => {
  const file = secretFile(t as Test)
  for (const [modes, exposed] of [
    [OWN_EXPOSED, true],
    [OWN_SECRET, false],
  ] as const) {
    for (const mode of modes) {
      chmodSync(file, mode)
      t.same(readSecretFile(file), { text: 'hush', exposed }, mode.toString(8))
    }
  }
  t.equal(exposedMessage(file), `${file} can be read by others: chmod 600 ${file}`)
})

t.test(
  'the file that is read is the one that is checked, even if another gets its name (docs/security.md R3)',
  async (t) => {
    const folder = t.testdir({})
    const name = join(folder, 'secret')
    for (const [mode, other] of [
      ['644', '600'],
      ['600', '644'],
    ] as const) {
      // A pipe with a name is open once both ends are. Then the other process gives the name to another file, and only then it writes.
      const script = `mkfifo -m ${mode} secret && echo ready && exec 3> secret && rm secret && (umask 077 && echo x > secret) && chmod ${other} secret && printf hush >&3 && exec 3>&- && rm secret`
      const writer = spawn('sh', ['-c', script], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = once(writer, 'exit')
      await once(writer.stdout, 'data')
      t.same(readSecretFile(name), { text: 'hush', exposed: mode === '644' }, mode)
      t.same(await ended, [0, null])
    }
  },
)

t.test(
  'a file of another user may be readable by its group, which this process needs (docs/security.md R3)',
  { skip: process.getuid?.() === 0 ? false : 'only root can give a file away' },
  async (t) => {
    const file = secretFile(t as Test)
    chownSync(file, 12_345, 0)
    for (const [mode, exposed] of [
      [0o440, false],
      [0o640, false],
      [0o660, true],
      [0o444, true],
      [0o644, true],
      [0o602, true],
    ] as const) {
      chmodSync(file, mode)
      t.equal(readSecretFile(file).exposed, exposed, mode.toString(8))
    }
  },
)
