/** What the profile of a user may contain (OIDC Core §5.1), and in which form it is stored. Pure. */
import { KeyturnError } from '../errors.ts'
import type { Profile } from '../store/contracts/users.ts'
import { prepareName } from '../visible-text.ts'

/** An account cannot have this username, password or profile; the message says why. */
export class InvalidAccount extends KeyturnError<'invalid_account'> {
  readonly field: AccountField
  constructor(field: AccountField, message: string) {
    super('invalid_account', message)
    this.field = field
  }
}

/** The member that is not valid, as the commands and the API call it. */
export type AccountField =
  | 'username'
  | 'password'
  | 'email'
  | 'email_verified'
  | 'name'
  | 'given_name'
  | 'family_name'
  | 'locale'
  | 'zoneinfo'

export const EMPTY_PROFILE: Profile = {
  email: null,
  emailVerified: false,
  name: null,
  givenName: null,
  familyName: null,
  locale: null,
  zoneinfo: null,
}

const MAX_NAME_LENGTH = 200
const MAX_LOCALE_LENGTH = 100

/** Returns the profile in the form in which it is stored; other members are unchanged. @throws {InvalidAccount} */
export function prepareProfile<T extends Profile>(profile: T): T {
  const { email, emailVerified, name, givenName, familyName, locale, zoneinfo } = profile
  checkEmail(email)
  if (emailVerified && email === null)
    throw new InvalidAccount('email_verified', 'an email address is needed before it can be verified')
  return {
    ...profile,
    name: checkedName('name', name),
    givenName: checkedName('given_name', givenName),
    familyName: checkedName('family_name', familyName),
    locale: canonicalLocale(locale),
    zoneinfo: canonicalZone(zoneinfo),
  }
}

function checkedName(field: 'name' | 'given_name' | 'family_name', name: string | null): string | null {
  if (name === null) return null
  const prepared = prepareName(name, MAX_NAME_LENGTH)
  if (prepared !== null) return prepared
  throw new InvalidAccount(
    field,
    `${field.replace('_', ' ')} must be 1 to ${MAX_NAME_LENGTH} printable characters`,
  )
}

/** Checks only the form. Whether an address works can be known only by sending a message to it. */
function checkEmail(email: string | null): void {
  if (email !== null && (email.length > 254 || !/^[^\p{C}\p{Z}@]+@[^\p{C}\p{Z}@]+$/u.test(email))) {
    throw new InvalidAccount('email', 'email must be an address such as alice@example.com')
  }
}

/** `de-ch` becomes `de-CH` (RFC 5646 §4.5), as OIDC Core §5.1 writes it. */
function canonicalLocale(locale: string | null): string | null {
  if (locale === null) return null
  try {
    if (locale.length > MAX_LOCALE_LENGTH) throw new RangeError('too long')
    const tag = new Intl.Locale(locale)
    // RFC 5646 §2.2.1: longer subtags are well-formed, but no language has one, so `german` is a mistake.
    if (tag.language.length > 3) throw new RangeError('not a language')
    return String(tag)
  } catch {
    throw new InvalidAccount('locale', 'locale must be a language tag such as en or de-CH (BCP 47)')
  }
}

/** Names only: `Intl` also accepts offsets such as `+01:00`, which are not in the IANA database. */
const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/

function canonicalZone(zone: string | null): string | null {
  if (zone === null) return null
  try {
    if (!ZONE_NAME.test(zone)) throw new RangeError('not a name')
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions()
    // `Intl` ignores case, which other programs do not. It also replaces a name by an older one for the same zone; that is not used.
    return timeZone.toLowerCase() === zone.toLowerCase() ? timeZone : zone
  } catch {
    throw new InvalidAccount(
      'zoneinfo',
      'time zone must be a name of the IANA database such as Europe/Berlin',
    )
  }
}
