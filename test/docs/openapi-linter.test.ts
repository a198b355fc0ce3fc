/** A linter of others finds nothing in the OpenAPI document. */
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { root } from '../support/docs/documents.ts'

t.test('@redocly/cli finds nothing in docs/openapi.json, by its strict recommended rules', (t) => {
  const args = ['lint', 'docs/openapi.json', '--extends', 'recommended-strict', '--format', 'stylish']
  const { status, stdout, stderr } = spawnSync('redocly', args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
  })
  t.equal(status, 0, stdout + stderr)
  t.end()
})
