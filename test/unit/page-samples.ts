/** Every page in every state that looks different, with models full of external text. */
import { assetUrls, createAssets } from '../../src/views/assets.ts'
import { type Brand, DEFAULT_BRAND } from '../../src/views/branding.ts'
import type { PageContext } from '../../src/views/page.ts'
import { type AccountModel, type AccountNotice, accountPage } from '../../src/views/pages/account.ts'
import { type AddPasskeyModel, addPasskeyPage } from '../../src/views/pages/add-passkey.ts'
import { type ChangePasswordModel, changePasswordPage } from '../../src/views/pages/change-password.ts'
import { type ChooseAccountModel, chooseAccountPage } from '../../src/views/pages/choose-account.ts'
import { type ConsentModel, consentPage } from '../../src/views/pages/consent.ts'
import { type EnrolRequiredModel, enrolRequiredPage } from '../../src/views/pages/enrol-required.ts'
import { type EnrolTotpModel, enrolTotpPage } from '../../src/views/pages/enrol-totp.ts'
import { type ErrorKind, type ErrorModel, errorPage } from '../../src/views/pages/error.ts'
import { type FormPostModel, formPostPage } from '../../src/views/pages/form-post.ts'
import { type LoginMessage, type LoginModel, loginPage } from '../../src/views/pages/login.ts'
import {
  type OneTimeLinkModel,
  oneTimeLinkDonePage,
  oneTimeLinkPage,
} from '../../src/views/pages/one-time-link.ts'
import { type RecoveryCodesModel, recoveryCodesPage } from '../../src/views/pages/recovery-codes.ts'
import {
  type RedirectInterstitialModel,
  redirectInterstitialPage,
} from '../../src/views/pages/redirect-interstitial.ts'
import {
  type SecondFactorMessage,
  type SecondFactorModel,
  secondFactorPage,
} from '../../src/views/pages/second-factor.ts'
import { type SignOutModel, signOutPage } from '../../src/views/pages/sign-out.ts'
import { type SignedOutModel, signedOutPage } from '../../src/views/pages/signed-out.ts'
import { type Locale, textsIn } from '../../src/views/texts/index.ts'

interface Sample {
  readonly title: string
  readonly model: unknown
  render(page: PageContext): string
  /** The same with every text replaced, except for words that select a message. */
  renderWith(text: string, page: PageContext): string
}

export const pageContext = (
  locale: Locale = 'en',
  { brand = DEFAULT_BRAND, prefix = '/tenant' }: { brand?: Brand; prefix?: string } = {},
): PageContext => ({
  texts: textsIn(locale),
  locale,
  brand,
  assets: assetUrls(createAssets(brand), prefix),
  csrf: 'csrf-token',
  prefix,
})

const CHOICES = ['kind', 'notice', 'purpose']

function replaceTexts(value: unknown, text: string): unknown {
  if (typeof value === 'string') return text
  if (Array.isArray(value)) return value.map((item) => replaceTexts(item, text))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      CHOICES.includes(key) ? item : replaceTexts(item, text),
    ]),
  )
}

function sample<Model>(
  title: string,
  view: (model: Model, page: PageContext) => string,
  model: Model,
): Sample {
  return {
    title,
    model,
    render: (page) => view(model, page),
    renderWith: (text, page) => view(replaceTexts(model, text) as Model, page),
  }
}

const passkey = { options: { challenge: 'Y2hhbGxlbmdl', rpId: 'login.example' }, state: 'encrypted' }

const login: LoginModel = {
  clientName: 'Acme Invoices',
  flow: 'flow',
  username: '',
  usernameFixed: false,
  message: null,
  passkey,
  fields: { more: 'value', nothing: null },
}
const loginMessages: LoginMessage[] = [
  { kind: 'credentials' },
  { kind: 'passkey' },
  { kind: 'busy' },
  { kind: 'expired' },
  { kind: 'rate_limited', seconds: 30 },
  { kind: 'reauthenticate' },
]

const secondFactor: SecondFactorModel = {
  username: 'alice',
  clientName: 'Acme Invoices',
  flow: 'flow',
  totp: true,
  recoveryCodes: true,
  passkey,
  message: null,
  fields: { more: 'value' },
}
const secondFactorMessages: SecondFactorMessage[] = [
  { kind: 'code' },
  { kind: 'recovery-code' },
  { kind: 'passkey' },
  { kind: 'busy' },
  { kind: 'expired' },
  { kind: 'rate_limited', seconds: 30 },
]

const named = (...scopes: string[]) => scopes.map((scope) => ({ scope }))

const consent: ConsentModel = {
  clientName: 'Acme Invoices',
  logoPath: '/assets/client-logos/hash',
  links: {
    client: 'https://app.example/',
    policy: 'https://app.example/privacy#apps',
    terms: 'https://app.example/terms',
  },
  flow: 'flow',
  username: 'alice',
  redirectUri: 'https://app.example/cb',
  scopes: named('openid', 'profile', 'email', 'offline_access', 'toString'),
  apis: [
    {
      name: 'Invoices',
      scopes: [{ scope: 'invoices:read', text: 'See your invoices' }, { scope: 'invoices:export' }],
    },
    { name: 'https://none.example', scopes: [] },
  ],
  canStoreConsent: true,
}

const chooseAccount: ChooseAccountModel = {
  clientName: 'Acme Invoices',
  username: 'alice',
  hint: 'bob@example.com',
  flow: 'flow',
  flowOfCurrent: 'flow of alice',
}

const signOut: SignOutModel = {
  clientName: 'Acme Invoices',
  username: 'alice',
  fields: { logout: 'encrypted' },
}
const signedOut: SignedOutModel = { back: { url: 'https://app.example/', clientName: 'Acme Invoices' } }

const account: AccountModel = {
  profile: {
    username: 'alice',
    name: 'Alice',
    email: 'alice@example.com',
    emailVerified: false,
    hasPassword: true,
  },
  userSessions: [
    {
      id: 'a',
      current: true,
      userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0',
      ip: '192.0.2.1',
      since: 1e9,
    },
    { id: 'b', current: false, userAgent: 'curl/8', ip: '2001:db8::1', since: 1e9 },
    { id: 'c', current: false, userAgent: 'Windows', ip: '192.0.2.2', since: 1e9 },
  ],
  apps: [
    {
      id: 's',
      clientName: 'Acme',
      audience: 'https://orders.test',
      scopes: [{ scope: 'openid' }, { scope: 'orders:read', text: 'See your orders' }],
      since: 1e9,
      lastUsed: 1.1e9,
    },
    { id: 't', clientName: 'Other', audience: null, scopes: [], since: 1e9, lastUsed: null },
  ],
  consents: [
    { clientId: 'acme', clientName: 'Acme', audience: null, scopes: named('email'), since: 1e9 },
    {
      clientId: 'acme',
      clientName: 'Acme',
      audience: 'https://orders.test',
      scopes: named('orders:read'),
      since: 1e9,
    },
  ],
  secondFactors: {
    totp: { since: 1e9 },
    passkeys: [
      { id: 'p', name: 'Laptop', createdAt: 1e9, lastUsed: null },
      { id: 'q', name: 'Phone', createdAt: 1e9, lastUsed: 1.1e9 },
    ],
    recoveryCodesLeft: 8,
    required: false,
  },
  notice: null,
}
const emptyAccount: AccountModel = {
  profile: { username: 'bob', name: null, email: null, emailVerified: false, hasPassword: false },
  userSessions: account.userSessions.slice(0, 1),
  apps: [],
  consents: [],
  secondFactors: { totp: null, passkeys: [], recoveryCodesLeft: null, required: true },
  notice: null,
}

const changePassword: ChangePasswordModel = { username: 'alice', minLength: 8, message: null }
const changePasswordMessages: ChangePasswordModel['message'][] = [
  { kind: 'wrong' },
  { kind: 'short' },
  { kind: 'long' },
  { kind: 'invisible' },
  { kind: 'common' },
  { kind: 'personal' },
  { kind: 'mismatch' },
  { kind: 'same' },
  { kind: 'busy' },
  { kind: 'rate_limited', seconds: 30 },
]

const oneTimeLink: OneTimeLinkModel = {
  purpose: 'invite',
  path: '/account/invitation',
  username: 'alice',
  minLength: 8,
  passkey,
  fields: { secret: 'secret', proof: 'proof' },
  message: null,
}
const oneTimeLinkMessages: OneTimeLinkModel['message'][] = [
  { kind: 'short' },
  { kind: 'long' },
  { kind: 'invisible' },
  { kind: 'common' },
  { kind: 'personal' },
  { kind: 'mismatch' },
  { kind: 'passkey' },
  { kind: 'busy' },
]

const enrolTotp: EnrolTotpModel = {
  secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
  uri: 'otpauth://totp/Keyturn:alice?secret=JBSWY3DPEHPK3PXP',
  enrolment: 'encrypted',
  flow: null,
  message: null,
  fields: { more: 'value' },
}
const recoveryCodes: RecoveryCodesModel = { codes: ['k7xq-m2vd', 'b8rt-9wcz'], replaced: true, flow: null }
const addPasskey: AddPasskeyModel = { passkey, name: 'Laptop', flow: null, message: null }
const enrolRequired: EnrolRequiredModel = {
  username: 'alice',
  requiredBy: 'Acme Invoices',
  clientName: 'Acme Invoices',
  flow: 'flow',
}
const error: ErrorModel = {
  kind: 'internal',
  detail: 'invalid_request: scope',
  requestId: 'req-1',
  link: { url: 'https://app.example/', label: 'Go back' },
}
const formPost: FormPostModel = {
  clientName: 'Acme Invoices',
  action: 'https://app.example/cb',
  fields: { code: 'code', state: 'state', iss: 'https://login.example' },
}
const handOver: RedirectInterstitialModel = {
  clientName: 'Acme Invoices',
  url: 'https://app.example/cb?code=code&state=state',
}

const { errors, account: accountTexts } = textsIn('en')

export const samples: readonly Sample[] = [
  sample('login', loginPage, login),
  sample('login, name known beforehand', loginPage, { ...login, username: 'alice' }),
  sample('login, once more', loginPage, { ...login, username: 'alice', usernameFixed: true }),
  sample('login, without an application', loginPage, {
    ...login,
    clientName: null,
    flow: null,
    passkey: null,
  }),
  ...loginMessages.map((message) =>
    sample(`login: ${message.kind}`, loginPage, { ...login, username: 'alice', message }),
  ),
  sample('choose account', chooseAccountPage, chooseAccount),
  sample('choose account, nobody named', chooseAccountPage, { ...chooseAccount, hint: null }),
  sample('second factor', secondFactorPage, secondFactor),
  sample('second factor, passkeys only', secondFactorPage, {
    ...secondFactor,
    totp: false,
    recoveryCodes: false,
  }),
  sample('second factor, codes only', secondFactorPage, { ...secondFactor, passkey: null }),
  ...secondFactorMessages.map((message) =>
    sample(`second factor: ${message.kind}`, secondFactorPage, { ...secondFactor, message }),
  ),
  sample('consent', consentPage, consent),
  sample('consent to nothing', consentPage, { ...consent, scopes: [], apis: [], canStoreConsent: false }),
  sample('consent, a default audience', consentPage, {
    ...consent,
    apis: [],
    audience: 'https://all.example',
  }),
  sample('consent, this device', consentPage, { ...consent, redirectUri: 'http://localhost:8080/cb' }),
  sample('consent, an app', consentPage, { ...consent, redirectUri: 'com.example.app:/cb' }),
  sample('sign out', signOutPage, signOut),
  sample('sign out, no client asked', signOutPage, { clientName: null, username: 'alice' }),
  sample('signed out', signedOutPage, signedOut),
  sample('signed out, nameless', signedOutPage, { back: { url: 'https://app.example/', clientName: null } }),
  sample('signed out, no way back', signedOutPage, { back: null }),
  sample('account', accountPage, account),
  sample('account, one code left', accountPage, {
    ...account,
    secondFactors: { ...account.secondFactors, recoveryCodesLeft: 1 },
  }),
  sample('account, nothing in it', accountPage, emptyAccount),
  ...(Object.keys(accountTexts.notices) as AccountNotice[]).map((notice) =>
    sample(`account: ${notice}`, accountPage, { ...account, notice }),
  ),
  sample('change password', changePasswordPage, changePassword),
  ...changePasswordMessages.map((message) =>
    sample(`change password: ${message?.kind}`, changePasswordPage, { ...changePassword, message }),
  ),
  sample('invitation', oneTimeLinkPage, oneTimeLink),
  sample('reset link', oneTimeLinkPage, { ...oneTimeLink, purpose: 'reset', passkey: null }),
  ...oneTimeLinkMessages.map((message) =>
    sample(`invitation: ${message?.kind}`, oneTimeLinkPage, { ...oneTimeLink, message }),
  ),
  sample('reset link: second factor', secondFactorPage, {
    ...secondFactor,
    flow: null,
    clientName: null,
    action: '/account/reset/confirm',
  }),
  sample('reset link: done', oneTimeLinkDonePage, { kind: 'password' }),
  sample('invitation: done', oneTimeLinkDonePage, { kind: 'passkey' }),
  sample('enrol TOTP', enrolTotpPage, enrolTotp),
  sample('enrol TOTP: code', enrolTotpPage, { ...enrolTotp, flow: 'flow', message: { kind: 'code' } }),
  sample('enrol TOTP: expired', enrolTotpPage, { ...enrolTotp, message: { kind: 'expired' } }),
  sample('recovery codes', recoveryCodesPage, recoveryCodes),
  sample('recovery codes, in a flow', recoveryCodesPage, { ...recoveryCodes, replaced: false, flow: 'flow' }),
  sample('add passkey', addPasskeyPage, addPasskey),
  ...(['refused', 'name', 'known', 'expired'] as const).map((kind) =>
    sample(`add passkey: ${kind}`, addPasskeyPage, { ...addPasskey, flow: 'flow', message: { kind } }),
  ),
  sample('enrolment required', enrolRequiredPage, enrolRequired),
  sample('enrolment required by a role', enrolRequiredPage, {
    ...enrolRequired,
    requiredBy: null,
    flow: null,
  }),
  ...(Object.keys(errors.kinds) as ErrorKind[]).map((kind) =>
    sample(`error: ${kind}`, errorPage, { ...error, kind }),
  ),
  sample('error, alone', errorPage, { kind: 'internal', detail: null, requestId: null, link: null }),
  sample('form post', formPostPage, formPost),
  sample('hand-over', redirectInterstitialPage, handOver),
]
