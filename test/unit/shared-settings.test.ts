import t from 'tap'
import { type Field, fields } from '../../src/config/fields.ts'
import { combineShared, differences, sharedSettings, withShared } from '../../src/config/shared.ts'
import { testConfig } from '../support/server/server.ts'

t.test('what nodes record about their settings is plain and contains no secret', async (t) => {
  const config = testConfig()
  const recorded = sharedSettings(config)
  const rows: readonly Field<unknown>[] = Object.values(fields)
  t.same(
    Object.keys(recorded),
    rows.filter(({ shared }) => shared).map(({ name }) => name.toLowerCase()),
  )
  t.same(
    rows.filter(({ shared, secret }) => shared && secret).map(({ name }) => name),
    [],
  )
  for (const [name, value] of Object.entries(recorded))
    t.ok(value === null || ['string', 'number'].includes(typeof value), name)
  t.same(withShared(config, JSON.parse(JSON.stringify(recorded))), config)
  t.same(withShared(config, { ...recorded, of_a_later_version: 1 }), config)
})

t.test('differences are named and written as in the environment', async (t) => {
  const here = sharedSettings(testConfig({ KEY_ROTATION: 'off', MIN_PASSWORD_LENGTH: '15' }))
  const there = sharedSettings(testConfig({ VERIFIER_CACHE: '90m', ISSUER: 'https://b.test' }))
  const found = differences(here, there)
  t.same(found, [
    { variable: 'KEYTURN_ISSUER', here: 'https://issuer.test', there: 'https://b.test' },
    { variable: 'KEYTURN_VERIFIER_CACHE', here: '1d', there: '90m' },
    { variable: 'KEYTURN_KEY_ROTATION', here: 'off', there: '30d' },
    { variable: 'KEYTURN_DEFAULT_AUDIENCE', here: 'https://issuer.test', there: 'https://b.test' },
    { variable: 'KEYTURN_MIN_PASSWORD_LENGTH', here: '15', there: '8' },
  ])
  t.same(differences(here, {}), [], 'a node of another version may lack a setting')
})

t.test('of nodes that differ, the longest cache and the earliest rotation count', async (t) => {
  const nodes = [
    { verifier_cache: 60, key_rotation: null, issuer: 'https://a.test' },
    { verifier_cache: 3600, key_rotation: 600, issuer: 'https://a.test' },
    { verifier_cache: 5, key_rotation: 900 },
  ]
  t.same(combineShared(nodes), { verifier_cache: 3600, key_rotation: 600, issuer: 'https://a.test' })
  t.same(combineShared([{ key_rotation: null }]), { key_rotation: null })
})
