import type { ClientLogo } from '../../src/store/contracts/client-logos.ts'
import { client } from '../support/server/seed.ts'
import type { Contract } from './contract.ts'

const logo = (overrides: Partial<ClientLogo> = {}): ClientLogo => ({
  hash: 'hash',
  contentType: 'image/png',
  body: Buffer.from([0, 255, 0x89, 10, 13]),
  createdAt: 10,
  ...overrides,
})

export const clientLogosContract: Contract = {
  'find returns a logo with its exact content': async (t, { clientLogos }) => {
    await clientLogos.put(logo())
    t.same(await clientLogos.find('hash'), logo())
    t.equal(await clientLogos.find('other'), null)
  },

  'put of a logo that is there already renews its time': async (t, { clientLogos }) => {
    await clientLogos.put(logo())
    await clientLogos.put(logo({ createdAt: 20 }))
    t.same(await clientLogos.find('hash'), logo({ createdAt: 20 }))
    t.equal(await clientLogos.prune(20, 100), 0)
  },

  'a client keeps its logo, and can only have one that is stored': async (t, { clients, clientLogos }) => {
    await clientLogos.put(logo())
    await clients.insert(client({ logo: 'hash' }))
    t.equal((await clients.find('machine'))?.logo, 'hash')
    const outcome = await clients.update('machine', (row) => ({ ...row, logo: 'missing' }))
    t.same(outcome, { updated: false, reason: 'conflict' })
    t.equal(await clientLogos.prune(100, 100), 0)
    t.not(await clientLogos.find('hash'), null)
  },

  'prune deletes the logos that no client has, oldest ones only': async (t, { clients, clientLogos }) => {
    for (const [i, hash] of ['a', 'b', 'c', 'd'].entries())
      await clientLogos.put(logo({ hash, createdAt: i }))
    await clients.insert(client({ logo: 'a' }))
    await clients.insert(client({ id: 'second', logo: 'a' }))
    t.equal(await clientLogos.prune(3, 1), 1)
    t.equal(await clientLogos.prune(3, 100), 1)
    await clients.delete('machine')
    t.equal(await clientLogos.prune(3, 100), 0, 'another client still has it')
    await clients.update('second', (row) => ({ ...row, logo: null }))
    t.equal(await clientLogos.prune(3, 100), 1)
    t.not(await clientLogos.find('d'), null)
  },
}
