/** Whose pages these are: a name, a colour, a logo; and colours for either theme that can be read, whatever the colour. */
import { BLACK, contrast, formatColor, mix, parseColor, type Rgb, standOut, WHITE } from './contrast.ts'

export interface Brand {
  readonly name: string
  /** `#rrggbb`. */
  readonly color: string
  /** null: our own, a key that turns. */
  readonly logo: { readonly contentType: string; readonly body: Buffer } | null
}

export const DEFAULT_BRAND: Brand = { name: 'Keyturn', color: '#3949b8', logo: null }

/** What text and controls stand on; the style sheet has no other backgrounds under links and buttons. */
export const SURFACES = {
  light: { page: '#f3f4f7', card: '#ffffff' },
  dark: { page: '#0e1013', card: '#17191e' },
} as const

export type Theme = keyof typeof SURFACES

/** Colours made of the brand's. */
export interface Accent {
  /** A button's face, its text, and the face under the pointer. */
  readonly button: string
  readonly onButton: string
  readonly buttonHover: string
  /** Around the button, where its face would be lost on the card. */
  readonly edge: string
  readonly link: string
  /** The ring around what has the focus. */
  readonly focus: string
}

/** WCAG 2.2: 1.4.3 for text, 1.4.11 for what is to be seen. */
const TEXT = 4.5
const SEEN = 3

const INK: Rgb = [17, 19, 24]

/** White is what people expect on a colour; black is always enough where white is not. */
const readableOn = (color: Rgb): Rgb => [WHITE, INK].find((text) => contrast(text, color) >= TEXT) ?? BLACK

/** @throws TypeError if the colour is not `#rrggbb` */
export function accentOf(color: string, theme: Theme): Accent {
  const own = parseColor(color)
  const backgrounds = Object.values(SURFACES[theme]).map(parseColor)
  const away = theme === 'light' ? BLACK : WHITE
  const seen = standOut(own, backgrounds, SEEN, away)
  // A pale colour keeps its face on a light card and gets an edge; a dark one on a dark card becomes lighter.
  const button = theme === 'light' ? own : seen
  const onButton = readableOn(button)
  return {
    button: formatColor(button),
    onButton: formatColor(onButton),
    buttonHover: formatColor(mix(button, onButton === WHITE ? BLACK : WHITE, 0.16)),
    edge: formatColor(seen),
    link: formatColor(standOut(own, backgrounds, TEXT, away)),
    focus: formatColor(seen),
  }
}
