import type { JSONWebKeySet } from 'jose'
import t from 'tap'
import { createClientKeys, MAX_ENTRY_BYTES } from '../../src/oauth/client-auth/client-keys.ts'
import { testClock } from '../support/server/clock.ts'
import { clientKey } from '../support/server/jws.ts'
import { client } from '../support/server/seed.ts'

t.test('documents of clients with many bytes are kept until they have too many together', async (t) => {
  const { jwk } = clientKey('ES256', 'first')
  const documents = new Map<string, JSONWebKeySet>()
  const fetches: string[] = []
  const keys = createClientKeys({
    clock: testClock(),
    async fetchJwks(uri) {
      fetches.push(uri)
      return documents.get(uri) as JSONWebKeySet
    },
  })
  const find = async (name: string) => {
    const jwksUri = `https://${name}.example.test/jwks`
    documents.set(jwksUri, {
      keys: name === 'small' ? [jwk] : [jwk, { ...jwk, kid: 'x'.repeat(60_000) }],
    } as JSONWebKeySet)
    await keys.find(client({ jwksUri }), { alg: 'ES256', kid: 'first' })
  }
  const fits = Math.floor(MAX_ENTRY_BYTES / 61_000)
  for (let i = 0; i < fits; i += 1) await find(`large-${i}`)
  await find('small')
  for (let i = 0; i < fits; i += 1) await find(`large-${i}`)
  await find('small')
  t.equal(fetches.length, fits + 1, 'all are kept')
  for (let i = 0; i < fits; i += 1) await find(`more-${i}`)
  const before = fetches.length
  await find('large-0')
  t.equal(fetches.length, before + 1, 'the one that was used longest ago was dropped')
  await find(`more-${fits - 1}`)
  t.equal(fetches.length, before + 1)
})
