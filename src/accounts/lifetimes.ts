/**
 * How long the steps of a login, second factors and what is known about a user's places last. A user session lasts as
 * long as KEYTURN_REFRESH_TOKEN_TTL and KEYTURN_REFRESH_IDLE_TTL say (src/config/fields.ts); lifetimes of the protocol
 * are in src/oauth/lifetimes.ts. Must not know: anything but time.
 */
import type { Seconds } from '../system.ts'

const DAY: Seconds = 86_400

/** A second factor is accepted for this long after the password. */
export const PENDING_LOGIN_TTL: Seconds = 600

/** After it the user must enter the password again before a second factor is requested or set up. */
export const RECENT_LOGIN_TTL: Seconds = 600

/** Of the state that the browser carries through one step, by step. */
export const ONE_TIME_STATE_TTL = {
  // The user may have to find and install an authenticator app first.
  'totp-setup': 900,
  'passkey-registration': 300,
  'passkey-sign-in': 300,
} as const satisfies Record<string, Seconds>

/** RFC 6238 §5.2: the time step that all authenticator apps can do. */
export const TOTP_PERIOD: Seconds = 30

/** RFC 6238 §5.2: steps before and after the current one, for clocks that differ and the time that typing takes. */
export const TOTP_WINDOW = 1

/** The idle end of a user session moves at most this often, so that not every page view causes a write. */
export const USER_SESSION_TOUCH_INTERVAL: Seconds = 300

/** An address from which a user has signed in has a rate limit of its own for this long. */
export const FAMILIAR_ADDRESS_TTL: Seconds = 90 * DAY
