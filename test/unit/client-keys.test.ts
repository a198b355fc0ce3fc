import type { JSONWebKeySet } from 'jose'
import t from 'tap'
import { createClientKeys, JWKS_CACHE_LIMITS, JWKS_MAX_AGE } from '../../src/oauth/client-auth/client-keys.ts'
import { testClock } from '../support/server/clock.ts'
import { clientKey } from '../support/server/jws.ts'
import { client } from '../support/server/seed.ts'

const { jwk } = clientKey('ES256', 'first')
const small = { keys: [jwk] } as JSONWebKeySet
const large = { keys: [jwk, { ...jwk, kid: 'x'.repeat(60_000) }] } as JSONWebKeySet
/** How many large documents are kept. */
const FITS = Math.floor(JWKS_CACHE_LIMITS.bytes / 61_000)

/** Clients whose documents are fetched; those whose names begin with `large` have large ones. */
function remoteClients() {
  const clock = testClock()
  const state = { fetches: 0, down: false }
  const keys = createClientKeys({
    clock,
    async fetchJwks(uri) {
      state.fetches += 1
      if (state.down) throw new Error('down')
      return uri.includes('large') ? large : small
    },
  })
  /** How many fetches it took to find a key of each. */
  async function find(...names: readonly string[]): Promise<number> {
    const before = state.fetches
    for (const name of names) {
      await keys.find(client({ jwksUri: `https://${name}.example.test/jwks` }), {
        alg: 'ES256',
        kid: 'first',
      })
    }
    return state.fetches - before
  }
  return { clock, state, find }
}

const names = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}-${i}`)

t.test('documents of clients are kept until they have too many bytes together', async (t) => {
  const { find } = remoteClients()
  const all = [...names('large', FITS), 'small']
  t.equal(await find(...all), FITS + 1)
  t.equal(await find(...all), 0, 'all are kept')
  t.equal(await find(...names('larger', FITS)), FITS)
  t.equal(await find('larger-0'), 0)
  t.equal(await find('large-0'), 1, 'those that were used longest ago were dropped')
})

t.test('a document that stays in use because it cannot be fetched again counts as before', async (t) => {
  const { clock, state, find } = remoteClients()
  await find(...names('large', FITS))
  clock.tick(JWKS_MAX_AGE + 1)
  state.down = true
  t.equal(await find(...names('large', FITS)), FITS)
  t.equal(await find(...names('large', FITS)), 0)
  state.down = false
  await find(...names('larger', FITS))
  t.equal(await find('large-0'), 1)
})

t.test('a bounded number of documents is kept, however small they are', async (t) => {
  const { find } = remoteClients()
  const all = names('small', JWKS_CACHE_LIMITS.documents)
  await find(...all)
  t.equal(await find(...all), 0)
  await find('another')
  t.equal(await find('small-0'), 1)
})

t.test('that nothing could be fetched is remembered too', async (t) => {
  const { state, find } = remoteClients()
  state.down = true
  await t.rejects(find('small'), { code: 'temporarily_unavailable' })
  await t.rejects(find('small'), { code: 'temporarily_unavailable' })
  t.equal(state.fetches, 1)
})
