/** Every English text of the pages. Its type is the list of texts that each language must have. */
import { type Content, type Html, html } from '../html.ts'

/** Rounded up to minutes from 100 seconds on, and to hours from 100 minutes on. */
function duration(seconds: number): string {
  if (seconds < 100) return seconds === 1 ? '1 second' : `${seconds} seconds`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 100 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`
}

export const en = {
  /** BCP 47, for dates. */
  dateLocale: 'en-GB',
  common: {
    errorPrefix: (title: string): string => `Error: ${title}`,
    cancel: 'Cancel',
    cancelAndReturn: (client: Content): Html => html`Cancel and return to ${client}`,
    or: 'or',
    signedInAs: (user: Content): Html => html`Signed in as ${user}.`,
    useAnotherAccount: 'Use another account',
    rateLimited: (seconds: number): string => `Too many attempts. Please try again in ${duration(seconds)}.`,
    busy: 'The server is busy right now. Please try again in a moment.',
    expired: 'This page was open for too long. Please try again.',
  },
  passkeys: {
    noScript: 'Passkeys need JavaScript, which is turned off in this browser.',
    cancelled: 'The passkey request was cancelled or timed out. Please try again.',
    failed: 'Something went wrong with the passkey. Please try again.',
    unsupported: 'This browser does not support passkeys.',
    alreadyRegistered: 'This device already has a passkey for your account.',
  },
  login: {
    title: 'Sign in',
    toContinue: (client: Content): Html => html`to continue to ${client}`,
    toAccount: (brand: Content): Html => html`to your ${brand} account`,
    username: 'Username',
    password: 'Password',
    submit: 'Sign in',
    passkey: 'Sign in with a passkey',
    reauthenticate: 'For your security, please sign in again.',
    wrongCredentials: 'The username or password is incorrect.',
    unknownPasskey: 'This passkey is not registered here. Please sign in another way.',
  },
  chooseAccount: {
    title: 'Which account?',
    expects: (client: Content, hint: Content, user: Content): Html =>
      html`${client} expects ${hint}, but you are signed in as ${user}.`,
    expectsAnother: (client: Content, user: Content): Html =>
      html`${client} expects another account. You are signed in as ${user}.`,
    continueAs: (user: Content): Html => html`Continue as ${user}`,
    signInAs: (hint: Content): Html => html`Sign in as ${hint}`,
  },
  secondFactor: {
    title: 'Confirm it’s you',
    lead: (user: Content): Html => html`One more step to sign in as ${user}.`,
    code: 'Code from your authenticator app',
    codeHint: 'Six digits',
    recoveryCode: 'Recovery code',
    useRecoveryCode: 'Use a recovery code instead',
    useAnotherWay: 'Use another way instead',
    recoveryHint:
      'One of the codes that you saved when you set up two-step verification. Each code works once.',
    submit: 'Confirm',
    passkey: 'Use a passkey',
    wrongCode: 'That code is incorrect or has already been used. Please wait for the next one.',
    wrongRecoveryCode: 'That recovery code is incorrect or has already been used.',
    passkeyRefused: 'That passkey was not accepted. Please try another way.',
  },
  consent: {
    title: (client: string): string => `Allow ${client} to access your account?`,
    heading: (client: Content): Html => html`Allow ${client} to access your account?`,
    signedInAs: (user: Content): Html => html`You are signed in as ${user}.`,
    notYou: 'Not you?',
    permissions: 'This app will be able to:',
    noPermissions: 'This app will only learn that you have signed in.',
    scopes: {
      openid: 'know who you are',
      profile: 'see your name, username, language and time zone',
      email: 'see your email address',
      roles: 'see your roles',
      offline_access: 'keep its access when you are not using it',
    },
    atApi: (api: Content): Html => html`use ${api} with these permissions:`,
    audience: (audience: Content): Html => html`This access is for ${audience}.`,
    redirectsToHost: (host: Content): Html => html`You will be redirected to ${host}.`,
    redirectsToDevice: (host: Content): Html =>
      html`You will be redirected to a program on this device (${host}). Only continue if you have just started it yourself.`,
    opensApp: (scheme: Content): Html =>
      html`An app on this device will open (${scheme}). Only continue if you have just started it yourself.`,
    links: { client: 'About this app', policy: 'Privacy policy', terms: 'Terms of service' },
    remember: 'Don’t ask me again',
    allow: 'Allow',
    deny: 'Deny',
    revokeHint: 'You can remove this access at any time on your account page.',
  },
  signOut: {
    title: 'Sign out',
    heading: (brand: Content): Html => html`Sign out of ${brand}?`,
    clientSignedOut: (client: Content): Html =>
      html`${client} has signed you out. Do you want to sign out here as well?`,
    submit: 'Sign out',
    stay: 'Stay signed in',
  },
  signedOut: {
    title: 'Signed out',
    heading: 'You are signed out',
    text: 'You can close this window now.',
    backTo: (client: Content): Html => html`Back to ${client}`,
    backToApp: 'Back to the app',
    signInAgain: 'Sign in again',
  },
  account: {
    title: 'Your account',
    signOut: 'Sign out',
    profile: 'Profile',
    username: 'Username',
    name: 'Name',
    email: 'Email',
    unverified: 'not verified',
    changePassword: 'Change password',
    userSessions: 'Where you’re signed in',
    thisBrowser: 'This browser',
    unknownBrowser: 'Unknown browser',
    browserOn: (browser: string, system: string): string => `${browser} on ${system}`,
    signedInOn: (date: Content): Html => html`Signed in on ${date}`,
    signOutBrowser: 'Sign out',
    signOutEverywhere: 'Sign out everywhere',
    signOutEverywhereHint:
      'Signs you out of all browsers, including this one, and ends the access of all apps.',
    apps: 'Apps with access',
    noApps: 'No apps have access to your account.',
    since: (date: Content): Html => html`Since ${date}`,
    lastUsed: (date: Content): Html => html`last used on ${date}`,
    neverUsed: 'never used',
    removeAccess: 'Remove access',
    consents: 'Saved permissions',
    consentsHint: 'These apps get access without asking you again.',
    noConsents: 'There are no saved permissions.',
    askAgain: 'Ask me again',
    permissions: 'Permissions:',
    permissionsFor: (api: Content): Html => html`Permissions for ${api}:`,
    secondFactors: 'Two-step verification',
    secondFactorsHint: 'With two-step verification, your password alone is not enough to sign in.',
    secondFactorsRequired: 'Your account requires two-step verification.',
    totp: 'Authenticator app',
    onSince: (date: Content): Html => html`On since ${date}`,
    off: 'Off',
    setUp: 'Set up',
    turnOff: 'Turn off',
    passkeys: 'Passkeys',
    passkeysHint: 'Sign in with your fingerprint, face, PIN or a security key.',
    added: (date: Content): Html => html`Added on ${date}`,
    addPasskey: 'Add a passkey',
    remove: 'Remove',
    recoveryCodes: 'Recovery codes',
    recoveryCodesLeft: (count: number): string => (count === 1 ? '1 code left' : `${count} codes left`),
    noRecoveryCodes: 'You have none. Recovery codes let you sign in if you lose your phone.',
    createRecoveryCodes: 'Create new codes',
    notices: {
      'password-changed': 'Your password has been changed. You have been signed out everywhere else.',
      'browser-signed-out': 'That browser has been signed out.',
      'access-removed': 'That app no longer has access.',
      'consent-removed': 'That app will ask for your permission again.',
      'totp-added': 'Your authenticator app is set up.',
      'totp-removed': 'You no longer need your authenticator app to sign in.',
      'passkey-added': 'Your passkey has been added.',
      'passkey-removed': 'The passkey has been removed.',
      'second-factor-required':
        'Your account requires two-step verification. Set up another method before you remove this one.',
      'last-passkey': 'Your account has no password, so you need this passkey to sign in.',
      'already-removed': 'Nothing was changed. It had already been removed.',
      'passkeys-unavailable': 'You cannot add a passkey here.',
    },
  },
  changePassword: {
    title: 'Change password',
    lead: 'You will be signed out of all other browsers and apps.',
    currentPassword: 'Current password',
    newPassword: 'New password',
    repeatPassword: 'Repeat new password',
    hint: (minLength: number): string =>
      `At least ${minLength} characters. A phrase of several words is easy to remember.`,
    submit: 'Change password',
    errors: {
      wrong: 'The current password is incorrect.',
      short: (minLength: number): string => `The new password must have at least ${minLength} characters.`,
      long: 'The new password is too long.',
      invisible: 'The new password contains a character that cannot be seen.',
      common: 'The new password is one of the most common ones. Choose another one.',
      personal: 'The new password is too similar to your name or username.',
      mismatch: 'The new passwords do not match.',
      same: 'The new password must be different from the current one.',
    },
  },
  oneTimeLink: {
    titles: { invite: 'Welcome', reset: 'Set a new password' },
    leads: {
      invite: (user: Content): Html =>
        html`Your account ${user} is ready. Choose how you want to sign in: with a password or with a passkey.`,
      reset: (user: Content): Html =>
        html`For your account ${user}. You will be signed out of all browsers and apps.`,
    },
    submit: 'Set password',
    confirm: (user: Content): Html =>
      html`Before you can change how ${user} signs in, confirm that it’s you.`,
    passkeyHint:
      'Instead of a password you can use a passkey: your fingerprint, face, PIN or a security key.',
    errors: { passkey: 'The passkey could not be added. Please try again.' },
    done: 'Done',
    doneTexts: {
      password: 'Your password is set.',
      passkey: 'Your passkey has been added.',
    },
    signedOut: 'You have been signed out everywhere.',
    signIn: 'Sign in',
  },
  enrolTotp: {
    title: 'Set up an authenticator app',
    scan: 'Scan this code with your authenticator app:',
    qrAlt: 'QR code for your authenticator app. The same key is shown as text below.',
    enterKey: 'Or enter this key in the app:',
    enterCode: 'Then enter the code that the app shows:',
    code: 'Code from the app',
    submit: 'Turn on',
    wrongCode:
      'That code is incorrect. Please check that your device’s clock is correct, and enter the latest code.',
  },
  recoveryCodes: {
    title: 'Your recovery codes',
    lead: 'If you lose your phone or security key, you can sign in once with each of these codes. Keep them in a safe place.',
    shownOnce: 'You will not be able to see these codes again.',
    replaced: 'Your previous codes no longer work.',
    list: 'Recovery codes',
    done: 'I have saved them',
  },
  addPasskey: {
    title: 'Add a passkey',
    lead: 'Your browser will ask for your fingerprint, face, PIN or security key. This website never receives your fingerprint, face or PIN.',
    name: 'Name for this passkey',
    nameHint: 'Helps you tell your passkeys apart, for example “Work laptop”.',
    submit: 'Create passkey',
    errors: {
      refused: 'The passkey could not be added. Please try again.',
      name: 'Please enter a name of up to 64 characters.',
      known: 'This passkey already belongs to an account.',
    },
  },
  enrolRequired: {
    // With a non-breaking hyphen.
    title: 'Set up two\u2011step verification',
    requiredByClient: (client: Content): Html =>
      html`${client} requires two-step verification. Set it up now; it takes about a minute.`,
    requiredByOrganisation:
      'Your organisation requires two-step verification. Set it up now; it takes about a minute.',
    totp: 'Authenticator app',
    totpHint: 'An app on your phone shows a new six-digit code every 30 seconds.',
    passkey: 'Passkey',
    passkeyHint: 'Your fingerprint, face, PIN or a security key. Requires JavaScript.',
  },
  errors: {
    requestId: 'Request ID',
    details: 'For the developers of the app',
    kinds: {
      'unknown-client': {
        title: 'Unknown app',
        text: 'The app that sent you here is not registered. It has not received any information about you.',
      },
      'invalid-redirect': {
        title: 'This link leads to the wrong place',
        text: 'The app wanted to send you to an address that is not registered for it. It has not received any information about you.',
      },
      'invalid-request': {
        title: 'Invalid request',
        text: 'Something is wrong with the link or form that brought you here. Please go back to the app and try again.',
      },
      expired: {
        title: 'This page has expired',
        text: 'The page was open for too long, or it was opened in another browser. Please go back to the app and start again.',
      },
      'void-link': {
        title: 'This link cannot be used',
        text: 'A link like this works once, for one hour. Please ask your administrator for a new one.',
      },
      forged: {
        title: 'This form could not be verified',
        text: 'The page may have been open for too long, or cookies may be turned off. Nothing was changed. Please go back, reload the page and try again.',
      },
      'access-denied': {
        title: 'Access denied',
        text: 'Your account cannot be used here. If you think that this is a mistake, please contact your administrator.',
      },
      'not-found': { title: 'Page not found', text: 'Please check the address.' },
      'method-not-allowed': {
        title: 'This page cannot be opened directly',
        text: 'Please go back to the app and start again.',
      },
      busy: { title: 'The server is busy', text: 'Please try again in a moment.' },
      internal: {
        title: 'Something went wrong',
        text: 'This is not your fault. Please try again. If it happens again, give your administrator the request ID below.',
      },
    },
  },
  redirecting: {
    title: 'One moment',
    heading: (client: Content): Html => html`Taking you back to ${client}`,
    text: 'If nothing happens, please use the button.',
    submit: 'Continue',
  },
}

export type Texts = typeof en
