import { existsSync } from 'node:fs'
import t from 'tap'
import { read, root, tableBelow } from '../support/docs/documents.ts'

/** The test modules of the OpenID Foundation’s suite, August 2026. */
const PLANS: Record<string, readonly string[]> = {
  '## Basic': [
    'oidcc-server',
    'oidcc-response-type-missing',
    'oidcc-idtoken-signature',
    'oidcc-idtoken-unsigned',
    'oidcc-userinfo-get',
    'oidcc-userinfo-post-header',
    'oidcc-userinfo-post-body',
    'oidcc-ensure-request-without-nonce-succeeds-for-code-flow',
    'oidcc-scope-profile',
    'oidcc-scope-email',
    'oidcc-scope-address',
    'oidcc-scope-phone',
    'oidcc-scope-all',
    'oidcc-alternate-happy-flow',
    'oidcc-display-page',
    'oidcc-display-popup',
    'oidcc-prompt-login',
    'oidcc-prompt-none-not-logged-in',
    'oidcc-prompt-none-logged-in',
    'oidcc-max-age-1',
    'oidcc-max-age-10000',
    'oidcc-ensure-request-with-unknown-parameter-succeeds',
    'oidcc-id-token-hint',
    'oidcc-login-hint',
    'oidcc-ui-locales',
    'oidcc-claims-locales',
    'oidcc-ensure-request-with-acr-values-succeeds',
    'oidcc-codereuse',
    'oidcc-codereuse-30seconds',
    'oidcc-ensure-registered-redirect-uri',
    'oidcc-ensure-post-request-succeeds',
    'oidcc-server-client-secret-post',
    'oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported',
    'oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported',
    'oidcc-claims-essential',
    'oidcc-ensure-request-object-with-redirect-uri',
    'oidcc-refresh-token',
    'oidcc-ensure-request-with-valid-pkce-succeeds',
  ],
  '## Config': ['oidcc-discovery-endpoint-verification'],
  '## RP-initiated logout': [
    'oidcc-rp-initiated-logout-discovery-endpoint-verification',
    'oidcc-rp-initiated-logout',
    'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri',
    'oidcc-rp-initiated-logout-modified-id-token-hint',
    'oidcc-rp-initiated-logout-no-id-token-hint',
    'oidcc-rp-initiated-logout-no-params',
    'oidcc-rp-initiated-logout-no-post-logout-redirect-uri',
    'oidcc-rp-initiated-logout-no-state',
    'oidcc-rp-initiated-logout-only-state',
    'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri',
    'oidcc-rp-initiated-logout-bad-id-token-hint',
  ],
  '## Back-channel logout': [
    'oidcc-backchannel-logout-discovery-endpoint-verification',
    'oidcc-backchannel-rp-initiated-logout',
  ],
  '## FAPI 2.0': [
    'discovery-end-point-verification',
    'happy-flow',
    'user-rejects-authentication',
    'ensure-request-object-with-multiple-aud-succeeds',
    'ensure-authorization-request-without-state-success',
    'ensure-authorization-request-without-nonce-success',
    'ensure-authorization-request-with-64-char-nonce-success',
    'ensure-other-scope-order-succeeds',
    'test-claims-parameter-identity-claims',
    'access-token-type-header-case-sensitivity',
    'ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted',
    'check-dpop-proof-nbf-exp',
    'ensure-dpopproof-with-iat-10seconds-before-succeeds',
    'ensure-dpopproof-with-iat-10seconds-after-succeeds',
    'ensure-mismatched-dpop-jkt-fails',
    'ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt',
    'ensure-token-endpoint-fails-with-mismatched-dpop-jkt',
    'ensure-dpopproof-at-par-endpoint-binding-success',
    'ensure-dpop-auth-code-binding-success',
    'ensure-different-nonce-inside-and-outside-request-object',
    'ensure-different-state-inside-and-outside-request-object',
    'ensure-authorization-request-with-long-nonce',
    'ensure-authorization-request-with-long-state',
    'ensure-request-object-without-exp-fails',
    'ensure-request-object-without-nbf-fails',
    'state-only-outside-request-object-not-used',
    'ensure-request-object-without-redirect-uri-fails',
    'ensure-expired-request-object-fails',
    'ensure-request-object-with-bad-aud-fails',
    'ensure-request-object-with-exp-over-60-fails',
    'ensure-request-object-with-nbf-over-60-fails',
    'ensure-signed-request-object-with-RS256-fails',
    'ensure-request-object-signature-algorithm-is-not-none',
    'ensure-request-object-with-invalid-signature-fails',
    'ensure-matching-key-in-authorization-request',
    'ensure-unsigned-request-at-par-endpoint-fails',
    'ensure-registered-redirect-uri',
    'plain-fapi-tolerate-unregistered-redirect-uri',
    'ensure-unsigned-authorization-request-without-using-par-fails',
    'ensure-redirect-uri-in-authorization-request',
    'ensure-response-type-code-idtoken-fails',
    'ensure-response-type-token-fails',
    'ensure-client-id-in-token-endpoint',
    'ensure-holder-of-key-required',
    'ensure-authorization-code-is-bound-to-client',
    'attempt-reuse-authorization-code-after-one-second',
    'ensure-token-endpoint-fails-with-expired-auth-code',
    'ensure-signed-client-assertion-with-RS256-fails',
    'ensure-client-assertion-in-token-endpoint',
    'ensure-client-assertion-with-exp-is-5-minutes-in-past-fails',
    'ensure-client-assertion-with-wrong-aud-fails',
    'ensure-client-assertion-with-no-sub-fails',
    'dpop-negative-tests',
    'refresh-token',
    'test-essential-acr-sca-claim',
    'par-ensure-reused-request-uri-prior-to-auth-completion-succeeds',
    'par-attempt-reuse-request_uri',
    'par-attempt-to-use-expired-request_uri',
    'par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted',
    'par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails',
    'par-attempt-to-use-request_uri-for-different-client',
    'par-authorization-request-containing-request_uri-form-param',
    'par-attempt-invalid-http-method',
    'par-ensure-pkce-required',
    'ensure-pkce-code-verifier-required',
    'incorrect-pkce-code-verifier-rejected',
    'par-plain-pkce-rejected',
    'par-authorization-request-containing-request_uri',
    'par-without-duplicate-parameters',
    'par-test-array-as-audience-fails',
    'par-test-par-endpoint-url-as-audience-fails',
    'par-test-token-endpoint-url-as-audience-fails',
  ],
  '## Shared conditions': [
    'Token response',
    'Token error',
    'Authorization response',
    'Authorization error',
    'ID token',
    'updated_at',
    'JWKS',
  ],
}

const page = read('docs/internals/conformance.md')

/** Titles as written in the sources, including template placeholders. */
function titlesIn(path: string): string[] {
  return [...read(path).matchAll(/\btest\(\s*(['"`])((?:\\.|(?!\1)[\s\S])*?)\1/g)].map(
    ([, , title = '']) => title,
  )
}

for (const [heading, expected] of Object.entries(PLANS)) {
  const rows = tableBelow(page, heading)

  t.test(`${heading.slice(3)}: the table has one row for every module of the plan`, async (t) => {
    t.same(
      rows.map(([module = '']) => module.replaceAll('`', '')),
      expected,
    )
  })

  t.test(`${heading.slice(3)}: every cited test exists with its title`, async (t) => {
    for (const [module, what = '', cell = ''] of rows) {
      t.ok(what.length > 5, `${module} says what is checked`)
      const cited = [...cell.matchAll(/\[[\w-]+\]\(\.\.\/\.\.\/([^)]+)\): `([^`]+)`/g)]
      t.equal(
        cell.replaceAll(/\[[\w-]+\]\(\.\.\/\.\.\/[^)]+\): `[^`]+`/g, '').trim(),
        '',
        `${module}: the whole cell is parsed`,
      )
      t.ok(cited.length > 0, `${module} has a test`)
      for (const [, path = '', title = ''] of cited) {
        const found = existsSync(root + path) && titlesIn(path).some((one) => one.includes(title))
        t.ok(found && title.length > 4, `${module}: ${path}: ${title}`)
      }
    }
  })
}

/** The suite does not run these modules with static clients. */
const DYNAMIC_ONLY = [
  'oidcc-idtoken-signature',
  'oidcc-idtoken-unsigned',
  'oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported',
]

t.test(
  'the page says how many modules ran and that this is no certification, and what does not apply',
  async (t) => {
    const text = page.replaceAll(/\s+/g, ' ')
    t.match(text, 'The suite was run, and no module failed.')
    t.match(text, 'Keyturn is not certified')
    const ran = Object.fromEntries(
      tableBelow(page, '# OpenID Connect conformance').map(([plan, n]) => [plan, Number(n)]),
    )
    const basic = (PLANS['## Basic'] ?? []).filter((module) => !DYNAMIC_ONLY.includes(module)).length
    t.same(ran, {
      'basic, with static clients': basic,
      'form post, with static clients': basic,
      config: PLANS['## Config']?.length,
      'RP-initiated logout': PLANS['## RP-initiated logout']?.length,
      'back-channel logout': PLANS['## Back-channel logout']?.length,
    })
    const total = Object.values<number>(ran).reduce((sum, n) => sum + n, 0)
    t.match(text, `Of these ${total} modules`)
    for (const module of DYNAMIC_ONLY) t.match(text, `\`${module}\``)
    t.match(page, '## What does not apply')
  },
)
