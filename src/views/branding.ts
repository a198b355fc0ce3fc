/** The operator's name, colour and logo, and the colours of both themes, which are readable with any brand colour. */
import { BLACK, contrast, ensureContrast, formatColor, mix, parseColor, type Rgb, WHITE } from './contrast.ts'

export interface Brand {
  readonly name: string
  /** `#rrggbb`. */
  readonly color: string
  /** null: the default logo. */
  readonly logo: { readonly contentType: string; readonly body: Buffer } | null
}

export const DEFAULT_BRAND: Brand = { name: 'Keyturn', color: '#3949b8', logo: null }

/** The backgrounds of text and controls. The style sheet puts links and buttons on no other background. */
export const SURFACES = {
  light: { page: '#f3f4f7', card: '#ffffff' },
  dark: { page: '#0e1013', card: '#17191e' },
} as const

export type Theme = keyof typeof SURFACES

/** Colours derived from the brand's colour. */
export interface Accent {
  /** Background of a button, its text, and its background under the pointer. */
  readonly button: string
  readonly onButton: string
  readonly buttonHover: string
  /** Border of a button, so that it stands out from the card. */
  readonly edge: string
  readonly link: string
  /** Outline of the focused element. */
  readonly focus: string
}

/** WCAG 2.2, success criteria 1.4.3 and 1.4.11. */
const MIN_TEXT_CONTRAST = 4.5
const MIN_GRAPHICS_CONTRAST = 3

const INK: Rgb = [17, 19, 24]

/** White is the usual text colour on a button. Where its contrast is too low, black always has enough. */
const textColorOn = (color: Rgb): Rgb =>
  [WHITE, INK].find((text) => contrast(text, color) >= MIN_TEXT_CONTRAST) ?? BLACK

/** @throws TypeError if the colour is not `#rrggbb` */
export function accentOf(color: string, theme: Theme): Accent {
  const brandColor = parseColor(color)
  const backgrounds = Object.values(SURFACES[theme]).map(parseColor)
  const towards = theme === 'light' ? BLACK : WHITE
  const visible = ensureContrast(brandColor, backgrounds, MIN_GRAPHICS_CONTRAST, towards)
  // On a light card a pale button keeps its colour and gets a visible border. On a dark card a dark button becomes lighter.
  const button = theme === 'light' ? brandColor : visible
  const onButton = textColorOn(button)
  return {
    button: formatColor(button),
    onButton: formatColor(onButton),
    buttonHover: formatColor(mix(button, onButton === WHITE ? BLACK : WHITE, 0.16)),
    edge: formatColor(visible),
    link: formatColor(ensureContrast(brandColor, backgrounds, MIN_TEXT_CONTRAST, towards)),
    focus: formatColor(visible),
  }
}
