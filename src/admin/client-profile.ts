/** What the profile of a client needs from the server: lanes of the ring, and APIs. Must not know the rules of a profile. */
import { commandLine } from '../command-line.ts'
import { type Lane, lanesOf, usableFrom } from '../keys/ring.ts'
import { ensureRing } from '../keys/rotate.ts'
import { isFapi2Algorithm } from '../oauth/client-registration/fapi2.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { New } from '../store/contracts/update.ts'
import type { LocalDeps } from './deps.ts'

/** The algorithms of the ring, those first that may sign now. The ring is opened only for a client with a profile. */
export async function profileLanes(
  { keys: openKeys, clock }: Pick<LocalDeps, 'keys' | 'clock'>,
  { profile }: Pick<Client, 'profile'>,
): Promise<readonly string[]> {
  if (profile === null) return []
  const keys = await openKeys()
  const lanes = lanesOf(await ensureRing(keys))
  const isUsable = (lane: Lane) => usableFrom(lane, keys.policy) <= clock.now()
  return [...lanes.filter(isUsable), ...lanes.filter((lane) => !isUsable(lane))].map(({ alg }) => alg)
}

/** One note for each API whose access tokens the profile does not permit, because the API chooses their algorithm. */
export async function profileNotes(
  { keys, store }: Pick<LocalDeps, 'keys' | 'store'>,
  client: New<Client>,
): Promise<string[]> {
  if (client.profile === null) return []
  const { defaultAlg } = await ensureRing(await keys())
  const apis = (await store.apis.list()).filter(({ scopes }) =>
    scopes.some((scope) => client.scopes.includes(scope)),
  )
  return apis.flatMap(({ identifier, signingAlg }) => {
    const alg = signingAlg ?? defaultAlg
    if (isFapi2Algorithm(alg)) return []
    const command = commandLine(`apis update ${identifier} --signing-alg ${client.idTokenSigningAlg}`)
    return [
      `access tokens for ${identifier} are signed with ${alg}, which FAPI 2.0 §5.4.1-1 does not permit: change it with ${command}`,
    ]
  })
}
