/** English texts of the overview, the keys and the audit log. */
import { type Content, type Html, html } from '../../html.ts'

/** Rounded down, with the two largest units: `3 days 4 hours`. */
export function span(seconds: number): string {
  const units = [
    [86_400, 'day'],
    [3600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ] as const
  let rest = Math.max(0, seconds)
  const parts: string[] = []
  for (const [size, unit] of units) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0 && parts.length < 2) parts.push(`${count} ${unit}${count === 1 ? '' : 's'}`)
    else if (parts.length > 0) break
  }
  return parts.join(' ') || 'a moment'
}

export const overview = {
  ring: 'Key ring',
  rotation: 'Rotation',
  verifiers: 'Verifiers',
  nodes: 'Nodes',
  warnings: 'Warnings',
  noWarnings: 'Nothing needs your attention.',
  lastHour: 'Last hour',
  tokensIssued: 'tokens issued',
  tokensRefused: 'token requests refused',
  loginsSucceeded: 'sign-ins',
  loginsFailed: 'failed sign-ins',
  atLeast: (count: string): string => `${count}+`,
  toKeys: 'Keys and verifiers',
  node: 'Node',
  version: 'Version',
  state: 'State',
  lastSeen: 'Last seen',
  started: 'Started',
  serving: 'serving',
  gone: 'gone',
  nodeBehind: 'signs with an older ring',
  noNodes: 'No node has sent a heartbeat yet.',
  noVerifiers: 'No verifier has identified itself yet.',
  verifiersOk: (count: number): string =>
    count === 1 ? 'The only verifier has the next key.' : `All ${count} verifiers have the next key.`,
  verifiersBehind: (names: Content): Html => html`Verifiers without the next key: ${names}`,
  warning: {
    nodeGone: (node: Content): Html => html`The node ${node} sends no heartbeat.`,
    nodeBehind: (node: Content): Html => html`The node ${node} signs with an older version of the ring.`,
    expectedBehind: (names: Content): Html => html`The next rotation waits for ${names}.`,
    overdue: 'The automatic rotation is overdue.',
  },
  checks: {
    clock: 'Clock',
    'master key': 'Master key',
    'keys folder': 'Keys folder',
    'data folder': 'Data folder',
    'database file': 'Database file',
    'free space': 'Free space',
    'store clock': 'Clock of the database',
    durability: 'Durability',
    ring: 'Key ring',
    nodes: 'Nodes',
    'node settings': 'Settings of the nodes',
    'signing keys': 'Signing keys',
    'master key rotation': 'Rotation of the master key',
    schedule: 'Schedule',
  },
}

export const keys = {
  intro: 'Every key is published before it signs, so that verifiers have it in time.',
  safe: 'It is safe to rotate now: no verifier can have a cached JWKS without the next key.',
  unsafeBefore: (at: Content, wait: string): Html =>
    html`It is not safe to rotate before ${at} (in ${wait}): until then a verifier may have a cached JWKS without the next key.`,
  unsafeBehind: (names: Content): Html =>
    html`It is not safe to rotate until these verifiers have fetched the next key: ${names}.`,
  isSafe: 'safe',
  isUnsafe: 'not safe yet',
  automatic: (at: Content, wait: string): Html =>
    html`The next automatic rotation is due on ${at} (in ${wait}).`,
  automaticNow: 'The next automatic rotation is due now.',
  automaticOff: 'Automatic rotation is off.',
  nextRotation: 'Next rotation',
  rotate: 'Rotate',
  rotateTitle: 'Rotate the keys?',
  rotateFollows: (next: Content): Html => html`The next key ${next} signs from now on.`,
  rotateActive: (active: Content): Html =>
    html`The key ${active} stops signing, and its private key is erased. It stays in the JWKS until its last token has expired.`,
  rotateNew: 'A new next key is published.',
  gate: 'Safety',
  rotateAnyway: 'Rotate even if verifiers may refuse good tokens',
  revoke: 'Revoke',
  revokeTitle: (kid: string): string => `Revoke the key ${kid}?`,
  revokeFollows: (kid: Content): Html =>
    html`The key ${kid} leaves the JWKS at once, and its private key is erased.`,
  revokeActive: (next: Content): Html =>
    html`The next key ${next} signs from now on, and a new next key is published.`,
  revokeNext: 'A new next key is published. Until verifiers have it, a rotation is not safe.',
  tokensRefused: (until: Content): Html =>
    html`Tokens that it has signed are refused: the last of them would have expired on ${until}.`,
  exposed: (until: Content): Html =>
    html`Verifiers with a cached JWKS may accept the revoked key until ${until}: restart the verifiers that must refuse it now.`,
  exposure: 'Exposure',
  failures: 'Who would refuse good tokens',
  unknownVerifiers: 'verifiers that have not identified themselves',
  affected: (who: Content, from: Content, until: Content): Html => html`${who}, from ${from} until ${until}`,
  heldBy: (who: Content, until: Content): Html =>
    html`${who} has the key cached, until ${until} at the latest`,
  picture: 'The ring on a timeline',
  legend: {
    published: 'published',
    signs: 'signs',
    retiring: 'retiring',
    now: 'now',
    rotation: 'next rotation',
  },
  kid: 'Key',
  algorithm: 'Algorithm',
  published: 'Published',
  signsFrom: 'Signs from',
  leaves: 'Leaves the JWKS',
  states: { next: 'next', active: 'active', retiring: 'retiring', retired: 'retired', revoked: 'revoked' },
  sentence: {
    published: (at: Content): Html => html`published ${at}`,
    signs: (at: Content): Html => html`signs from ${at}`,
    stopped: (at: Content): Html => html`stopped signing ${at}`,
    leaves: (at: Content): Html => html`leaves the JWKS ${at}`,
    left: (at: Content): Html => html`left the JWKS ${at}`,
  },
  verifiers: {
    title: 'Verifiers',
    intro:
      'Services that identify themselves when they fetch the JWKS. Rotations wait for those that are expected.',
    name: 'Name',
    instance: 'Instance',
    expected: 'Expected',
    waits: 'rotations wait for it',
    seen: 'Last fetched',
    state: 'Next key',
    has: 'has it',
    behind: 'not yet',
    expect: 'Expect',
    expectName: 'Name of a verifier',
    forget: 'Forget',
    forgetTitle: (name: string): string => `Forget the verifier ${name}?`,
    forgetText: 'Rotations no longer wait for it, until it is expected again.',
  },
  changes: { active: 'Active key', next: 'Next key', retiring: 'Retiring keys' },
  done: {
    rotated: (kid: Content): Html => html`The keys were rotated: ${kid} signs now.`,
    revoked: (kid: Content): Html => html`The key ${kid} was revoked.`,
    expected: (name: Content): Html => html`From now on, rotations wait for ${name}.`,
    forgotten: (name: Content): Html => html`The verifier ${name} was forgotten.`,
  },
}

export const audit = {
  intro: 'What has happened, newest first.',
  time: 'Time',
  event: 'Event',
  actor: 'By',
  about: 'About',
  details: 'Details',
  anyEvent: 'All events',
  since: 'Since',
  until: 'Until',
  user: 'User',
  client: 'Client',
  timeHint: '1h, 30d or 2026-01-31T12:00Z',
  times: (count: number): string => `${count}×`,
  filter: 'Filter',
  verify: 'Verify',
  verifyTitle: 'Verify the audit log',
  verifyIntro: 'The whole log is read: no row may be missing or changed.',
  anchor: 'An earlier end of the log (optional)',
  anchorHint: '<seq>:<hash>, from a line audit.head of the server log',
  intact: 'The log is intact.',
  broken: 'Someone has changed the log, or parts of it are missing.',
  rows: 'Rows',
  head: 'End of the log',
  prunedTo: 'Deleted after their retention, up to row',
  signed: 'Signed',
}
