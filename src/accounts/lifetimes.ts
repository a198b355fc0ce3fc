/**
 * Lifetimes of logins, second factors and known locations. The lifetime of a user session is set by KEYTURN_REFRESH_TOKEN_TTL and
 * KEYTURN_REFRESH_IDLE_TTL (src/config/fields.ts). Protocol lifetimes are in src/oauth/lifetimes.ts.
 */
import type { Seconds } from '../system.ts'

const DAY: Seconds = 86_400

/** How long after the password a second factor is accepted. */
export const PENDING_LOGIN_TTL: Seconds = 600

/** How long after a login the user can set up a second factor without entering the password again. */
export const RECENT_LOGIN_TTL: Seconds = 600

/** How long a link that an administrator hands over can be used. */
export const ONE_TIME_LINK_TTL: Seconds = 3600

/** How long each kind of one-time state is valid. */
export const ONE_TIME_STATE_TTL = {
  // The user may have to find and install an authenticator app first.
  'totp-setup': 900,
  'passkey-registration': 300,
  'passkey-sign-in': 300,
} as const satisfies Record<string, Seconds>

/** The time step that all authenticator apps support (RFC 6238 §5.2). */
export const TOTP_PERIOD: Seconds = 30

/** Accepted time steps before and after the current one, for clock differences and slow typing (RFC 6238 §5.2). */
export const TOTP_WINDOW = 1

/** The idle expiry of a user session is extended at most this often, so that not every page view causes a write. */
export const USER_SESSION_TOUCH_INTERVAL: Seconds = 300

/** How long a location is known after a successful sign-in. A known location is exempt from the limit per account. */
export const KNOWN_LOCATION_TTL: Seconds = 90 * DAY
