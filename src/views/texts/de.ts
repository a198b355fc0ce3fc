/** Every German text of the pages. */
import { type Content, type Html, html } from '../html.ts'
import type { Texts } from './en.ts'

/** The words are in the dative case, because they follow "in". */
function duration(seconds: number): string {
  if (seconds < 100) return seconds === 1 ? 'einer Sekunde' : `${seconds} Sekunden`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 100 ? `${minutes} Minuten` : `${Math.ceil(minutes / 60)} Stunden`
}

export const de: Texts = {
  dateLocale: 'de-DE',
  common: {
    errorPrefix: (title: string): string => `Fehler: ${title}`,
    cancel: 'Abbrechen',
    cancelAndReturn: (client) => html`Abbrechen und zurück zu ${client}`,
    or: 'oder',
    signedInAs: (user: Content): Html => html`Angemeldet als ${user}.`,
    useAnotherAccount: 'Anderes Konto verwenden',
    rateLimited: (seconds: number): string =>
      `Zu viele Versuche. Bitte versuchen Sie es in ${duration(seconds)} noch einmal.`,
    busy: 'Der Server ist gerade ausgelastet. Bitte versuchen Sie es gleich noch einmal.',
    expired: 'Diese Seite war zu lange geöffnet. Bitte versuchen Sie es noch einmal.',
  },
  passkeys: {
    noScript: 'Für Passkeys wird JavaScript benötigt, das in diesem Browser ausgeschaltet ist.',
    cancelled:
      'Der Vorgang wurde abgebrochen oder hat zu lange gedauert. Bitte versuchen Sie es noch einmal.',
    failed: 'Mit dem Passkey ist etwas schiefgegangen. Bitte versuchen Sie es noch einmal.',
    unsupported: 'Dieser Browser unterstützt keine Passkeys.',
    alreadyRegistered: 'Auf diesem Gerät gibt es bereits einen Passkey für Ihr Konto.',
  },
  login: {
    title: 'Anmelden',
    toContinue: (client: Content): Html => html`weiter zu ${client}`,
    toAccount: (brand: Content): Html => html`bei Ihrem ${brand}-Konto`,
    username: 'Benutzername',
    password: 'Passwort',
    submit: 'Anmelden',
    passkey: 'Mit einem Passkey anmelden',
    reauthenticate: 'Bitte melden Sie sich zu Ihrer Sicherheit noch einmal an.',
    wrongCredentials: 'Der Benutzername oder das Passwort ist falsch.',
    unknownPasskey: 'Dieser Passkey ist hier nicht registriert. Bitte melden Sie sich auf andere Weise an.',
  },
  chooseAccount: {
    title: 'Welches Konto?',
    expects: (client: Content, hint: Content, user: Content): Html =>
      html`${client} erwartet ${hint}, Sie sind aber als ${user} angemeldet.`,
    expectsAnother: (client: Content, user: Content): Html =>
      html`${client} erwartet ein anderes Konto. Sie sind als ${user} angemeldet.`,
    continueAs: (user: Content): Html => html`Als ${user} fortfahren`,
    signInAs: (hint: Content): Html => html`Als ${hint} anmelden`,
  },
  secondFactor: {
    title: 'Bestätigen Sie, dass Sie es sind',
    lead: (user: Content): Html => html`Noch ein Schritt, um sich als ${user} anzumelden.`,
    code: 'Code aus Ihrer Authenticator-App',
    codeHint: 'Sechs Ziffern',
    recoveryCode: 'Wiederherstellungscode',
    useRecoveryCode: 'Stattdessen einen Wiederherstellungscode verwenden',
    useAnotherWay: 'Auf andere Weise bestätigen',
    recoveryHint:
      'Einer der Codes, die Sie beim Einrichten der Bestätigung in zwei Schritten gespeichert haben. Jeder Code gilt nur einmal.',
    submit: 'Bestätigen',
    passkey: 'Passkey verwenden',
    wrongCode: 'Dieser Code ist falsch oder wurde bereits verwendet. Bitte warten Sie auf den nächsten.',
    wrongRecoveryCode: 'Dieser Wiederherstellungscode ist falsch oder wurde bereits verwendet.',
    passkeyRefused: 'Dieser Passkey wurde nicht akzeptiert. Bitte versuchen Sie es auf andere Weise.',
  },
  consent: {
    title: (client: string): string => `Darf ${client} auf Ihr Konto zugreifen?`,
    heading: (client: Content): Html => html`Darf ${client} auf Ihr Konto zugreifen?`,
    signedInAs: (user: Content): Html => html`Sie sind als ${user} angemeldet.`,
    notYou: 'Sind Sie das nicht?',
    permissions: 'Diese App kann dann:',
    noPermissions: 'Diese App erfährt nur, dass Sie sich angemeldet haben.',
    scopes: {
      openid: 'erkennen, wer Sie sind',
      profile: 'Ihren Namen, Benutzernamen, Ihre Sprache und Zeitzone sehen',
      email: 'Ihre E-Mail-Adresse sehen',
      roles: 'Ihre Rollen sehen',
      offline_access: 'den Zugriff behalten, auch wenn Sie sie gerade nicht benutzen',
    },
    atApi: (api: Content): Html => html`${api} mit diesen Berechtigungen benutzen:`,
    audience: (audience: Content): Html => html`Dieser Zugriff gilt für ${audience}.`,
    redirectsToHost: (host: Content): Html => html`Sie werden zu ${host} weitergeleitet.`,
    redirectsToDevice: (host: Content): Html =>
      html`Sie werden zu einem Programm auf diesem Gerät weitergeleitet (${host}). Fahren Sie nur fort, wenn Sie es gerade selbst gestartet haben.`,
    opensApp: (scheme: Content): Html =>
      html`Auf diesem Gerät wird eine App geöffnet (${scheme}). Fahren Sie nur fort, wenn Sie sie gerade selbst gestartet haben.`,
    links: { client: 'Über diese App', policy: 'Datenschutzerklärung', terms: 'Nutzungsbedingungen' },
    remember: 'Nicht noch einmal fragen',
    allow: 'Erlauben',
    deny: 'Ablehnen',
    revokeHint: 'Auf Ihrer Kontoseite können Sie diesen Zugriff jederzeit wieder entziehen.',
  },
  signOut: {
    title: 'Abmelden',
    heading: (brand: Content): Html => html`Von ${brand} abmelden?`,
    clientSignedOut: (client: Content): Html =>
      html`${client} hat Sie abgemeldet. Möchten Sie sich auch hier abmelden?`,
    submit: 'Abmelden',
    stay: 'Angemeldet bleiben',
  },
  signedOut: {
    title: 'Abgemeldet',
    heading: 'Sie sind abgemeldet',
    text: 'Sie können dieses Fenster jetzt schließen.',
    backTo: (client: Content): Html => html`Zurück zu ${client}`,
    backToApp: 'Zurück zur App',
    signInAgain: 'Wieder anmelden',
  },
  account: {
    title: 'Ihr Konto',
    signOut: 'Abmelden',
    profile: 'Profil',
    username: 'Benutzername',
    name: 'Name',
    email: 'E-Mail',
    unverified: 'nicht bestätigt',
    changePassword: 'Passwort ändern',
    userSessions: 'Hier sind Sie angemeldet',
    thisBrowser: 'Dieser Browser',
    unknownBrowser: 'Unbekannter Browser',
    browserOn: (browser: string, system: string): string => `${browser} auf ${system}`,
    signedInOn: (date: Content): Html => html`Angemeldet am ${date}`,
    signOutBrowser: 'Abmelden',
    signOutEverywhere: 'Überall abmelden',
    signOutEverywhereHint:
      'Meldet Sie in allen Browsern ab, auch in diesem, und beendet den Zugriff aller Apps.',
    apps: 'Apps mit Zugriff',
    noApps: 'Keine App hat Zugriff auf Ihr Konto.',
    since: (date: Content): Html => html`Seit ${date}`,
    lastUsed: (date: Content): Html => html`zuletzt benutzt am ${date}`,
    neverUsed: 'nie benutzt',
    removeAccess: 'Zugriff entziehen',
    consents: 'Gespeicherte Berechtigungen',
    consentsHint: 'Diese Apps erhalten Zugriff, ohne Sie noch einmal zu fragen.',
    noConsents: 'Es gibt keine gespeicherten Berechtigungen.',
    askAgain: 'Wieder fragen',
    permissions: 'Berechtigungen:',
    permissionsFor: (api: Content): Html => html`Berechtigungen für ${api}:`,
    secondFactors: 'Bestätigung in zwei Schritten',
    secondFactorsHint:
      'Mit der Bestätigung in zwei Schritten reicht Ihr Passwort allein nicht aus, um sich anzumelden.',
    secondFactorsRequired: 'Für Ihr Konto ist die Bestätigung in zwei Schritten vorgeschrieben.',
    totp: 'Authenticator-App',
    onSince: (date: Content): Html => html`Eingeschaltet seit ${date}`,
    off: 'Ausgeschaltet',
    setUp: 'Einrichten',
    turnOff: 'Ausschalten',
    passkeys: 'Passkeys',
    passkeysHint: 'Melden Sie sich mit Fingerabdruck, Gesicht, PIN oder einem Sicherheitsschlüssel an.',
    added: (date: Content): Html => html`Hinzugefügt am ${date}`,
    addPasskey: 'Passkey hinzufügen',
    remove: 'Entfernen',
    recoveryCodes: 'Wiederherstellungscodes',
    recoveryCodesLeft: (count: number): string =>
      count === 1 ? 'Noch 1 Code übrig' : `Noch ${count} Codes übrig`,
    noRecoveryCodes:
      'Sie haben keine. Mit Wiederherstellungscodes können Sie sich anmelden, wenn Sie Ihr Telefon verlieren.',
    createRecoveryCodes: 'Neue Codes erzeugen',
    notices: {
      'password-changed': 'Ihr Passwort wurde geändert. Überall sonst wurden Sie abgemeldet.',
      'browser-signed-out': 'Der andere Browser wurde abgemeldet.',
      'access-removed': 'Diese App hat keinen Zugriff mehr.',
      'consent-removed': 'Diese App fragt Sie beim nächsten Mal wieder um Erlaubnis.',
      'totp-added': 'Ihre Authenticator-App ist eingerichtet.',
      'totp-removed': 'Sie brauchen Ihre Authenticator-App nicht mehr, um sich anzumelden.',
      'passkey-added': 'Ihr Passkey wurde hinzugefügt.',
      'passkey-removed': 'Der Passkey wurde entfernt.',
      'second-factor-required':
        'Für Ihr Konto ist die Bestätigung in zwei Schritten vorgeschrieben. Richten Sie zuerst eine andere Methode ein, bevor Sie diese entfernen.',
      'last-passkey': 'Ihr Konto hat kein Passwort. Sie brauchen diesen Passkey, um sich anzumelden.',
      'already-removed': 'Es wurde nichts geändert. Der Eintrag war bereits entfernt.',
      'passkeys-unavailable': 'Hier können Sie keinen Passkey hinzufügen.',
    },
  },
  changePassword: {
    title: 'Passwort ändern',
    lead: 'Sie werden in allen anderen Browsern und Apps abgemeldet.',
    currentPassword: 'Aktuelles Passwort',
    newPassword: 'Neues Passwort',
    repeatPassword: 'Neues Passwort wiederholen',
    hint: (minLength: number): string =>
      `Mindestens ${minLength} Zeichen. Einen Satz aus mehreren Wörtern können Sie sich gut merken.`,
    submit: 'Passwort ändern',
    errors: {
      wrong: 'Das aktuelle Passwort ist falsch.',
      short: (minLength: number): string =>
        `Das neue Passwort muss mindestens ${minLength} Zeichen lang sein.`,
      long: 'Das neue Passwort ist zu lang.',
      invisible: 'Das neue Passwort enthält ein Zeichen, das man nicht sieht.',
      common: 'Das neue Passwort ist eines der häufigsten. Wählen Sie ein anderes.',
      personal: 'Das neue Passwort ist Ihrem Namen oder Benutzernamen zu ähnlich.',
      mismatch: 'Die neuen Passwörter stimmen nicht überein.',
      same: 'Das neue Passwort muss sich vom aktuellen unterscheiden.',
    },
  },
  oneTimeLink: {
    titles: { invite: 'Willkommen', reset: 'Neues Passwort festlegen' },
    leads: {
      invite: (user: Content): Html =>
        html`Ihr Konto ${user} ist bereit. Wählen Sie, wie Sie sich anmelden möchten: mit einem Passwort oder mit einem Passkey.`,
      reset: (user: Content): Html =>
        html`Für Ihr Konto ${user}. Sie werden in allen Browsern und Apps abgemeldet.`,
    },
    submit: 'Passwort festlegen',
    confirm: (user: Content): Html =>
      html`Bevor Sie die Anmeldung von ${user} ändern können, bestätigen Sie bitte, dass Sie es sind.`,
    passkeyHint:
      'Statt eines Passworts können Sie einen Passkey verwenden: Ihren Fingerabdruck, Ihr Gesicht, eine PIN oder einen Sicherheitsschlüssel.',
    errors: { passkey: 'Der Passkey konnte nicht hinzugefügt werden. Bitte versuchen Sie es noch einmal.' },
    done: 'Fertig',
    doneTexts: {
      password: 'Ihr Passwort ist festgelegt.',
      passkey: 'Ihr Passkey wurde hinzugefügt.',
    },
    signedOut: 'Sie wurden überall abgemeldet.',
    signIn: 'Anmelden',
  },
  enrolTotp: {
    title: 'Authenticator-App einrichten',
    scan: 'Scannen Sie diesen Code mit Ihrer Authenticator-App:',
    qrAlt: 'QR-Code für Ihre Authenticator-App. Derselbe Schlüssel steht als Text darunter.',
    enterKey: 'Oder geben Sie diesen Schlüssel in der App ein:',
    enterCode: 'Geben Sie dann den Code ein, den die App anzeigt:',
    code: 'Code aus der App',
    submit: 'Einschalten',
    wrongCode:
      'Dieser Code ist falsch. Bitte prüfen Sie, ob die Uhr Ihres Geräts richtig geht, und geben Sie den neuesten Code ein.',
  },
  recoveryCodes: {
    title: 'Ihre Wiederherstellungscodes',
    lead: 'Wenn Sie Ihr Telefon oder Ihren Sicherheitsschlüssel verlieren, können Sie sich mit jedem dieser Codes einmal anmelden. Bewahren Sie sie an einem sicheren Ort auf.',
    shownOnce: 'Sie können diese Codes später nicht mehr ansehen.',
    replaced: 'Ihre bisherigen Codes gelten nicht mehr.',
    list: 'Wiederherstellungscodes',
    done: 'Ich habe sie gespeichert',
  },
  addPasskey: {
    title: 'Passkey hinzufügen',
    lead: 'Ihr Browser fragt gleich nach Fingerabdruck, Gesicht, PIN oder Sicherheitsschlüssel. Fingerabdruck, Gesicht und PIN werden nie an diese Website übertragen.',
    name: 'Name für diesen Passkey',
    nameHint: 'Damit Sie Ihre Passkeys unterscheiden können, zum Beispiel „Arbeitslaptop“.',
    submit: 'Passkey erstellen',
    errors: {
      refused: 'Der Passkey konnte nicht hinzugefügt werden. Bitte versuchen Sie es noch einmal.',
      name: 'Bitte geben Sie einen Namen mit höchstens 64 Zeichen ein.',
      known: 'Dieser Passkey gehört bereits zu einem Konto.',
    },
  },
  enrolRequired: {
    title: 'Bestätigung in zwei Schritten einrichten',
    requiredByClient: (client: Content): Html =>
      html`${client} verlangt die Bestätigung in zwei Schritten. Richten Sie sie jetzt ein; das dauert etwa eine Minute.`,
    requiredByOrganisation:
      'Ihre Organisation verlangt die Bestätigung in zwei Schritten. Richten Sie sie jetzt ein; das dauert etwa eine Minute.',
    totp: 'Authenticator-App',
    totpHint: 'Eine App auf Ihrem Telefon zeigt alle 30 Sekunden einen neuen sechsstelligen Code an.',
    passkey: 'Passkey',
    passkeyHint:
      'Ihr Fingerabdruck, Ihr Gesicht, eine PIN oder ein Sicherheitsschlüssel. Benötigt JavaScript.',
  },
  errors: {
    requestId: 'Anfrage-ID',
    details: 'Für die Entwickler der App',
    kinds: {
      'unknown-client': {
        title: 'Unbekannte App',
        text: 'Die App, von der Sie kommen, ist nicht registriert. Sie hat keine Informationen über Sie erhalten.',
      },
      'invalid-redirect': {
        title: 'Dieser Link führt an die falsche Stelle',
        text: 'Die App wollte Sie zu einer Adresse weiterleiten, die nicht für sie registriert ist. Sie hat keine Informationen über Sie erhalten.',
      },
      'invalid-request': {
        title: 'Ungültige Anfrage',
        text: 'Mit dem Link oder Formular, über das Sie hierhergekommen sind, stimmt etwas nicht. Bitte gehen Sie zur App zurück und versuchen Sie es noch einmal.',
      },
      expired: {
        title: 'Diese Seite ist abgelaufen',
        text: 'Die Seite war zu lange geöffnet oder wurde in einem anderen Browser geöffnet. Bitte gehen Sie zur App zurück und beginnen Sie von vorn.',
      },
      'void-link': {
        title: 'Dieser Link kann nicht verwendet werden',
        text: 'Ein solcher Link funktioniert nur einmal und nur eine Stunde lang. Bitten Sie Ihre Administration um einen neuen.',
      },
      forged: {
        title: 'Dieses Formular konnte nicht überprüft werden',
        text: 'Möglicherweise war die Seite zu lange geöffnet, oder Cookies sind ausgeschaltet. Es wurde nichts geändert. Bitte gehen Sie zurück, laden Sie die Seite neu und versuchen Sie es noch einmal.',
      },
      'access-denied': {
        title: 'Zugriff verweigert',
        text: 'Ihr Konto kann hier nicht verwendet werden. Wenn Sie das für einen Fehler halten, wenden Sie sich bitte an Ihre Administration.',
      },
      'not-found': { title: 'Seite nicht gefunden', text: 'Bitte prüfen Sie die Adresse.' },
      'method-not-allowed': {
        title: 'Diese Seite kann nicht direkt geöffnet werden',
        text: 'Bitte gehen Sie zur App zurück und beginnen Sie von vorn.',
      },
      busy: { title: 'Der Server ist ausgelastet', text: 'Bitte versuchen Sie es gleich noch einmal.' },
      internal: {
        title: 'Etwas ist schiefgegangen',
        text: 'Es liegt nicht an Ihnen. Bitte versuchen Sie es noch einmal. Wenn der Fehler wieder auftritt, nennen Sie Ihrer Administration bitte die Anfrage-ID unten.',
      },
    },
  },
  redirecting: {
    title: 'Einen Moment',
    heading: (client: Content): Html => html`Sie werden zu ${client} zurückgeleitet`,
    text: 'Wenn nichts geschieht, benutzen Sie bitte die Schaltfläche.',
    submit: 'Weiter',
  },
}
