import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { deflateSync } from 'node:zlib'
import t from 'tap'
import { codeBlocks, read } from '../support/docs/documents.ts'

const run = promisify(execFile)
const python = await run('python3', ['--version']).then(
  () => true,
  () => false,
)

t.test(
  'the page’s Python code for status lists works',
  { skip: python ? false : 'there is no Python' },
  async (t) => {
    const block = codeBlocks(read('docs/verify.md')).find(({ text }) => text.includes('def revoked('))
    t.ok(block)
    const uri = 'https://auth.example/status-lists/0'
    const list = (bits: number, bytes: number[], sub = uri) => ({
      sub,
      status_list: { bits, lst: deflateSync(Buffer.from(bytes)).toString('base64url') },
    })
    const at = (idx: number) => ({ status: { status_list: { idx, uri } } })
    const cases: [token: object, list: object, expected: boolean | string][] = [
      // The two examples of Token Status List §4.1.
      ...[1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1].map(
        (value, i) => [at(i), list(1, [0xb9, 0xa3]), value !== 0] as [object, object, boolean],
      ),
      ...[1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3].map(
        (value, i) => [at(i), list(2, [0xc9, 0x44, 0xf9]), value !== 0] as [object, object, boolean],
      ),
      [{}, list(1, [255]), false],
      [{ status: {} }, list(1, [255]), false],
      [at(8), list(1, [0]), 'IndexError'],
      [at(0), list(1, [0], `${uri}0`), 'ValueError'],
    ]
    const program = `${block?.text}
import json, sys
def verdict(token, status_list):
    try:
        return revoked(token, status_list)
    except Exception as error:
        return type(error).__name__
print(json.dumps([verdict(token, status_list) for token, status_list in json.loads(sys.argv[1])]))
`
    const given = cases.map(([token, status]) => [token, status])
    const { stdout } = await run('python3', ['-c', program, JSON.stringify(given)])
    t.same(
      JSON.parse(stdout),
      cases.map(([, , expected]) => expected),
    )
  },
)
