/** German texts of the overview, the keys and the audit log. */
import { html } from '../../html.ts'
import type * as en from './en-ring.ts'

/** Rounded down, with the two largest units: `3 Tagen 4 Stunden`, for use after “in”. */
export const span: typeof en.span = (seconds) => {
  const units = [
    [86_400, 'Tag', 'Tagen'],
    [3600, 'Stunde', 'Stunden'],
    [60, 'Minute', 'Minuten'],
    [1, 'Sekunde', 'Sekunden'],
  ] as const
  let rest = Math.max(0, seconds)
  const parts: string[] = []
  for (const [size, one, many] of units) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0 && parts.length < 2) parts.push(`${count} ${count === 1 ? one : many}`)
    else if (parts.length > 0) break
  }
  return parts.join(' ') || 'einem Moment'
}

export const overview: typeof en.overview = {
  ring: 'Schlüsselring',
  rotation: 'Rotation',
  verifiers: 'Prüfende Dienste',
  nodes: 'Knoten',
  warnings: 'Warnungen',
  noWarnings: 'Nichts verlangt Ihre Aufmerksamkeit.',
  lastHour: 'Letzte Stunde',
  tokensIssued: 'Tokens ausgestellt',
  tokensRefused: 'Token-Anfragen abgelehnt',
  loginsSucceeded: 'Anmeldungen',
  loginsFailed: 'fehlgeschlagene Anmeldungen',
  atLeast: (count) => `${count}+`,
  toKeys: 'Schlüssel und prüfende Dienste',
  node: 'Knoten',
  version: 'Version',
  state: 'Zustand',
  lastSeen: 'Zuletzt gesehen',
  started: 'Gestartet',
  serving: 'in Betrieb',
  gone: 'verschwunden',
  nodeBehind: 'signiert mit einem älteren Ring',
  noNodes: 'Noch kein Knoten hat sich gemeldet.',
  noVerifiers: 'Noch kein prüfender Dienst hat sich zu erkennen gegeben.',
  verifiersOk: (count) =>
    count === 1
      ? 'Der einzige prüfende Dienst hat den nächsten Schlüssel.'
      : `Alle ${count} prüfenden Dienste haben den nächsten Schlüssel.`,
  verifiersBehind: (names) => html`Prüfende Dienste ohne den nächsten Schlüssel: ${names}`,
  warning: {
    nodeGone: (node) => html`Der Knoten ${node} meldet sich nicht mehr.`,
    nodeBehind: (node) => html`Der Knoten ${node} signiert mit einem älteren Stand des Rings.`,
    expectedBehind: (names) => html`Die nächste Rotation wartet auf ${names}.`,
    overdue: 'Die automatische Rotation ist überfällig.',
  },
  checks: {
    clock: 'Uhr',
    'master key': 'Hauptschlüssel',
    'keys folder': 'Schlüsselordner',
    'data folder': 'Datenordner',
    'database file': 'Datenbankdatei',
    'free space': 'Freier Speicherplatz',
    'store clock': 'Uhr der Datenbank',
    durability: 'Dauerhaftigkeit',
    ring: 'Schlüsselring',
    nodes: 'Knoten',
    'node settings': 'Einstellungen der Knoten',
    'signing keys': 'Signaturschlüssel',
    'master key rotation': 'Rotation des Hauptschlüssels',
    schedule: 'Zeitplan',
  },
}

export const keys: typeof en.keys = {
  intro:
    'Jeder Schlüssel wird veröffentlicht, bevor er signiert, damit prüfende Dienste ihn rechtzeitig haben.',
  safe: 'Eine Rotation ist jetzt sicher: Kein prüfender Dienst kann ein JWKS ohne den nächsten Schlüssel im Cache haben.',
  unsafeBefore: (at, wait) =>
    html`Eine Rotation ist nicht vor ${at} sicher (in ${wait}): Bis dahin kann ein prüfender Dienst ein JWKS ohne den nächsten Schlüssel im Cache haben.`,
  unsafeBehind: (names) =>
    html`Eine Rotation ist erst sicher, wenn diese Dienste den nächsten Schlüssel abgerufen haben: ${names}.`,
  isSafe: 'sicher',
  isUnsafe: 'noch nicht sicher',
  automatic: (at, wait) => html`Die nächste automatische Rotation ist am ${at} fällig (in ${wait}).`,
  automaticNow: 'Die nächste automatische Rotation ist jetzt fällig.',
  automaticOff: 'Die automatische Rotation ist ausgeschaltet.',
  nextRotation: 'Nächste Rotation',
  rotate: 'Rotieren',
  rotateTitle: 'Schlüssel rotieren?',
  rotateFollows: (next) => html`Ab jetzt signiert der nächste Schlüssel ${next}.`,
  rotateActive: (active) =>
    html`Der Schlüssel ${active} signiert nicht mehr, und sein privater Schlüssel wird gelöscht. Er bleibt im JWKS, bis sein letztes Token abgelaufen ist.`,
  rotateNew: 'Ein neuer nächster Schlüssel wird veröffentlicht.',
  gate: 'Sicherheit',
  rotateAnyway: 'Rotieren, obwohl ein prüfender Dienst gültige Tokens ablehnen könnte',
  revoke: 'Widerrufen',
  revokeTitle: (kid) => `Schlüssel ${kid} widerrufen?`,
  revokeFollows: (kid) =>
    html`Der Schlüssel ${kid} verlässt sofort das JWKS, und sein privater Schlüssel wird gelöscht.`,
  revokeActive: (next) =>
    html`Ab jetzt signiert der nächste Schlüssel ${next}, und ein neuer nächster Schlüssel wird veröffentlicht.`,
  revokeNext:
    'Ein neuer nächster Schlüssel wird veröffentlicht. Bis prüfende Dienste ihn haben, ist eine Rotation nicht sicher.',
  tokensRefused: (until) =>
    html`Tokens, die er signiert hat, werden abgelehnt; das letzte wäre am ${until} abgelaufen.`,
  exposed: (until) =>
    html`Prüfende Dienste mit einem JWKS im Cache können den widerrufenen Schlüssel bis ${until} annehmen: Starten Sie die Dienste neu, die ihn sofort ablehnen müssen.`,
  exposure: 'Wer ihn noch annimmt',
  failures: 'Wer gültige Tokens ablehnen würde',
  unknownVerifiers: 'Dienste, die sich nicht zu erkennen gegeben haben',
  affected: (who, from, until) => html`${who}, von ${from} bis ${until}`,
  heldBy: (who, until) => html`${who} hat den Schlüssel im Cache, längstens bis ${until}`,
  picture: 'Der Ring auf einer Zeitachse',
  legend: {
    published: 'veröffentlicht',
    signs: 'signiert',
    retiring: 'läuft aus',
    now: 'jetzt',
    rotation: 'nächste Rotation',
  },
  kid: 'Schlüssel',
  algorithm: 'Algorithmus',
  published: 'Veröffentlicht',
  signsFrom: 'Signiert ab',
  leaves: 'Verlässt das JWKS',
  states: {
    next: 'nächster',
    active: 'aktiv',
    retiring: 'läuft aus',
    retired: 'ausgelaufen',
    revoked: 'widerrufen',
  },
  sentence: {
    published: (at) => html`veröffentlicht ${at}`,
    signs: (at) => html`signiert ab ${at}`,
    stopped: (at) => html`signiert seit ${at} nicht mehr`,
    leaves: (at) => html`verlässt das JWKS ${at}`,
    left: (at) => html`hat das JWKS verlassen ${at}`,
  },
  verifiers: {
    title: 'Prüfende Dienste',
    intro:
      'Dienste, die sich beim Abruf des JWKS zu erkennen geben. Rotationen warten auf diejenigen, die erwartet werden.',
    name: 'Name',
    instance: 'Instanz',
    expected: 'Erwartet',
    waits: 'Rotationen warten darauf',
    seen: 'Letzter Abruf',
    state: 'Nächster Schlüssel',
    has: 'vorhanden',
    behind: 'noch nicht',
    expect: 'Erwarten',
    expectName: 'Name eines prüfenden Dienstes',
    forget: 'Vergessen',
    forgetTitle: (name) => `Dienst ${name} vergessen?`,
    forgetText: 'Rotationen warten nicht mehr auf ihn, bis er wieder erwartet wird.',
  },
  changes: { active: 'Aktiver Schlüssel', next: 'Nächster Schlüssel', retiring: 'Auslaufende Schlüssel' },
  done: {
    rotated: (kid) => html`Die Schlüssel wurden rotiert: Jetzt signiert ${kid}.`,
    revoked: (kid) => html`Der Schlüssel ${kid} wurde widerrufen.`,
    expected: (name) => html`Ab jetzt warten Rotationen auf ${name}.`,
    forgotten: (name) => html`Der Dienst ${name} wurde vergessen.`,
  },
}

export const audit: typeof en.audit = {
  intro: 'Was geschehen ist, das Neueste zuerst.',
  time: 'Zeit',
  event: 'Ereignis',
  actor: 'Von',
  about: 'Über',
  details: 'Einzelheiten',
  anyEvent: 'Alle Ereignisse',
  since: 'Seit',
  until: 'Bis',
  user: 'Benutzer',
  client: 'Client',
  timeHint: '1h, 30d oder 2026-01-31T12:00Z',
  times: (count) => `${count}×`,
  filter: 'Filtern',
  verify: 'Prüfen',
  verifyTitle: 'Audit-Log prüfen',
  verifyIntro: 'Das ganze Log wird gelesen: Keine Zeile darf fehlen oder verändert sein.',
  anchor: 'Ein früheres Ende des Logs (optional)',
  anchorHint: '<seq>:<hash>, aus einer Zeile audit.head des Server-Logs',
  intact: 'Das Log ist unversehrt.',
  broken: 'Jemand hat das Log verändert, oder Teile davon fehlen.',
  rows: 'Zeilen',
  head: 'Ende des Logs',
  prunedTo: 'Nach Ablauf der Aufbewahrung gelöscht, bis Zeile',
  signed: 'Signiert',
}
