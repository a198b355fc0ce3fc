/** The pages of the console without a server: external text never becomes markup, and every page is complete in each language. */
import t from 'tap'
import { apiFields, apiFormPage, apiPage, apisPage, apiValues } from '../../src/views/admin/apis.ts'
import { auditPage, auditVerifyPage } from '../../src/views/admin/audit.ts'
import { clientFields, clientValues } from '../../src/views/admin/client-fields.ts'
import { clientSecretPage, secretEndPage } from '../../src/views/admin/client-secrets.ts'
import { clientDeletePage, clientFormPage, clientPage, clientsPage } from '../../src/views/admin/clients.ts'
import { forgetPage, keysPage, revokePage, rotatePage } from '../../src/views/admin/keys.ts'
import { overviewPage } from '../../src/views/admin/overview.ts'
import type { ConsoleContext } from '../../src/views/admin/page.ts'
import { failedPage, notAdministratorPage } from '../../src/views/admin/refused.ts'
import { roleDeletePage, rolePage, rolesPage } from '../../src/views/admin/roles.ts'
import { sessionEndPage, sessionsEndAllPage, sessionsPage } from '../../src/views/admin/sessions.ts'
import { consoleTextsIn } from '../../src/views/admin/texts/index.ts'
import { userConfirmPage, userLinkPage, userPage, usersPage } from '../../src/views/admin/users.ts'
import { LOCALES, type Locale } from '../../src/views/texts/index.ts'
import { pageContext } from './page-samples.ts'

const contextOf = (locale: Locale, text: string): ConsoleContext => ({
  ...pageContext(locale),
  words: consoleTextsIn(locale),
  consoleStyle: '/tenant/admin/assets/console.css',
  username: text,
  done: { place: 'roles', act: 'created', subject: text, notes: [text, 'a note'] },
})

/** Every page, with this text in every place where others choose the text. */
function pages(text: string, page: ConsoleContext): Record<string, string> {
  const asked = {
    hidden: { name: text, revision: '1' },
    problem: text,
    insist: text,
    changes: [{ label: 'Scopes', before: `${text}\nx`, now: text }],
  }
  const listed = <T>(item: T) => ({
    items: [item],
    search: text,
    continued: true,
    nextCursor: text,
    filters: { role: text },
  })
  const key = {
    kid: text,
    alg: text,
    publishedAt: 100,
    signsFrom: 200,
    stoppedAt: 300,
    leavesAt: 400,
  }
  const ring = {
    keys: (['next', 'active', 'retiring', 'retired', 'revoked'] as const).map((state) => ({ ...key, state })),
    now: 250,
    active: text,
    next: text,
    safe: false,
    safeFrom: 300,
    behind: [text, text],
    nextRotationAt: 500,
    verifierCache: 600,
  }
  const verifier = { name: text, instance: text, expected: true, seenAt: 100, behind: true }
  const affected = [
    { verifier: text, from: 1, until: 2 },
    { verifier: null, from: 1, until: 2 },
  ]
  const hour = { count: 1234, more: true }
  const role = { name: text, scopes: [text], requireSecondFactor: true, createdAt: 1, builtIn: false }
  const api = {
    identifier: text,
    name: text,
    scopes: [text],
    scope_texts: { [text]: text },
    access_token_ttl: 300,
    created_at: 1,
  }
  const client = {
    client_id: text,
    client_id_issued_at: 1,
    client_name: text,
    token_endpoint_auth_method: text,
    grant_types: [text],
    scope: text.replaceAll(' ', ''),
    redirect_uris: [text],
    post_logout_redirect_uris: [text],
    backchannel_logout_uri: text,
    jwks: { keys: [{ kid: text }] },
    jwks_uri: text,
    logo_uri: text,
    client_uri: text,
    policy_uri: text,
    tos_uri: text,
    pkce: text,
    require_pushed_authorization_requests: true,
    require_signed_request_object: false,
    first_party: true,
    require_second_factor: false,
    access_token_ttl: null,
    claims_in_id_token: true,
    roles_claim: text,
    accept_endpoint_audience: false,
    introspects: [text],
    dpop_bound_access_tokens: true,
    tls_client_certificate_bound_access_tokens: false,
    tls_client_auth_subject_dn: text,
    tls_client_auth_san_dns: text,
    tls_client_auth_san_uri: text,
    tls_client_auth_san_ip: text,
    tls_client_auth_san_email: text,
    id_token_signed_response_alg: text,
    authorization_signed_response_alg: text,
    introspection_signed_response_alg: text,
    profile: text,
    disabled: true,
  }
  const choices = { methods: [text], grants: ['password'], algorithms: [text] }
  const form = {
    path: '/admin/x',
    cancel: '/tenant/admin/x',
    hidden: { id: text },
    problem: text,
    changes: asked.changes,
  }
  const secret = { secret_id: text, created_at: 1, expires_at: 2, last_used_at: null }
  const user = {
    id: text,
    username: text,
    name: text,
    given_name: text,
    family_name: text,
    locale: text,
    zoneinfo: text,
    roles: [text],
    email: text,
    email_verified: false,
    disabled: false,
    created_at: 1,
    browsers: 2,
  }
  const session = {
    id: text,
    state: 'active' as const,
    username: text,
    client_id: text,
    scope: text.replaceAll(' ', ''),
    audience: text,
    created_at: 1,
    last_used_at: 2,
  }
  const event = {
    seq: 1,
    at: 1,
    event: text,
    count: 3,
    actor: text,
    user: text,
    clientId: text,
    fields: [[text, text]] as const,
  }
  const verdict = {
    intact: false,
    rows: 1,
    head: text,
    prunedTo: 0,
    signed: true,
    findings: [text],
    notes: [text],
  }
  return {
    overview: overviewPage(
      {
        ring,
        verifiers: [verifier],
        nodes: [{ name: text, version: text, gone: true, behind: true, startedAt: 1, seenAt: 2 }],
        lastHour: { tokensIssued: hour, tokensRefused: hour, loginsSucceeded: hour, loginsFailed: hour },
        problems: [{ check: 'free space', message: text }],
        notes: [text],
      },
      page,
    ),
    keys: keysPage({ ring, verifiers: [verifier], refused: { name: text, message: text } }, page),
    rotate: rotatePage(asked, { ring, failing: affected }, page),
    revoke: revokePage(
      asked,
      { ring, kid: text, exposedUntil: 1, holders: affected, failing: affected, tokensUntil: 2 },
      page,
    ),
    forget: forgetPage(asked, text, page),
    roles: rolesPage(listed(role), page),
    role: rolePage(role, page),
    'delete a role': roleDeletePage(asked, text, page),
    apis: apisPage(listed(api), page),
    api: apiPage(api, page),
    'change an API': apiFormPage(
      {
        ...form,
        fields: apiFields(page, [text], true),
        values: apiValues(api),
        errors: { name: text, scopes: text },
      },
      text,
      page,
    ),
    clients: clientsPage(listed(client), page),
    client: clientPage(client, [secret], page),
    'change a client': clientFormPage(
      {
        ...form,
        fields: clientFields(page, choices, true),
        values: clientValues(client, choices),
        errors: { jwks: text, first_party: text },
      },
      null,
      page,
    ),
    'delete a client': clientDeletePage(asked, client, page),
    'end a secret': secretEndPage(asked, text, text, page),
    secret: clientSecretPage({ act: 'secret', id: text, secret: text, secretId: text, notes: [text] }, page),
    users: usersPage(listed(user), page),
    user: userPage(user, { once: text }, page),
    'delete a user': userConfirmPage(asked, 'delete', text, page),
    link: userLinkPage({ act: 'link', username: text, link: text, expiresAt: 1, notes: [text] }, page),
    sessions: sessionsPage(
      { items: [session], user: text, client: '', continued: true, nextCursor: text, problem: null },
      page,
    ),
    'end a session': sessionEndPage(asked, session, page),
    'end all sessions': sessionsEndAllPage(asked, { client: text }, page),
    audit: auditPage(
      {
        events: [event],
        filters: { event: text, user: text, since: text },
        kinds: [text],
        continued: true,
        nextCursor: text,
        notes: [text],
        problem: text,
      },
      page,
    ),
    'verify the log': auditVerifyPage({ verdict, anchor: text, problem: text }, page),
    failed: failedPage({ place: 'roles', missing: true, message: text, back: '/tenant/admin' }, page),
    'not an administrator': notAdministratorPage({ role: text, username: text }, page),
  }
}

const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '" autofocus onfocus="alert(1)',
  '</title></textarea></style></script><svg onload=alert(1)>',
  '&lt;b&gt;&amp;',
]

/** Tags and the names of their attributes, without text. */
const skeleton = (page: string): string[] =>
  [...page.matchAll(/<(\/?[a-z][a-z0-9]*|!doctype)((?:\s+[a-z0-9-]+(?:="[^"<>]*")?)*)\s*\/?>/g)].map(
    ([, name = '', rest = '']) =>
      [name, ...[...rest.matchAll(/\s([a-z0-9-]+)/g)].map(([, one]) => one)].join(' '),
  )

t.test('no external text becomes markup on any page of the console (XSS corpus)', async (t) => {
  const withText = (text: string) => pages(text, contextOf('en', text))
  const expected = withText('plain')
  for (const text of HOSTILE) {
    for (const [title, page] of Object.entries(withText(text))) {
      const names = (of: string) => skeleton(of).map((tag) => tag.replace(/=.*/, '').split(' ')[0])
      t.same(names(page), names(expected[title] ?? ''), `${title}: ${text}`)
      t.notMatch(page, /<script>|<img src=x|<svg onload|" onfocus=/, title)
    }
  }
})

for (const locale of LOCALES) {
  t.test(
    `${locale}: every page of the console is complete and has no inline script or style (CSP)`,
    async (t) => {
      for (const [title, page] of Object.entries(pages('N4ME', contextOf(locale, 'N4ME')))) {
        const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id)
        t.equal(new Set(ids).size, ids.length, `${title}: an id twice`)
        t.equal(page.split('<h1').length, 2, title)
        t.match(page, `<html lang="${locale}">`, title)
        t.notMatch(page, /undefined|\[object|NaN|\bnull\b|=>/, title)
        t.notMatch(page, /<style| style="| on[a-z]+="|<script(?! src="[^"]+" defer><\/script>)/, title)
        for (const [, form] of page.matchAll(/<form method="post"([\s\S]*?)<\/form>/g))
          t.match(form, 'name="csrf" value="csrf-token"', title)
        const described = [...page.matchAll(/aria-(?:describedby|labelledby)="([^"]*)"/g)].flatMap(
          ([, list = '']) => list.split(' '),
        )
        t.same(
          described.filter((id) => !ids.includes(id)),
          [],
          title,
        )
      }
    },
  )
}
