/** `npm run test:slow`: the tests that `npm test` leaves out (.taprc), and the soak tests. Arguments are those of `tap run`. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

const { exclude } = parse(readFileSync(new URL('../.taprc', import.meta.url), 'utf8')) as {
  exclude: string[]
}
const args = ['run', ...exclude, 'test/soak/*.soak.ts', ...process.argv.slice(2)]
process.exitCode = spawnSync('tap', args, { stdio: 'inherit' }).status ?? 1
