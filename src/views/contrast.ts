/** Colour contrast as WCAG 2.2 defines it. */

export type Rgb = readonly [red: number, green: number, blue: number]

export const WHITE: Rgb = [255, 255, 255]
export const BLACK: Rgb = [0, 0, 0]

/** @throws TypeError if the colour is not `#rrggbb` */
export function parseColor(color: string): Rgb {
  const match = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color)
  if (!match) throw new TypeError('a colour must be written as #rrggbb')
  const [red = 0, green = 0, blue = 0] = match.slice(1).map((part) => Number.parseInt(part, 16))
  return [red, green, blue]
}

export const formatColor = (color: Rgb): string =>
  `#${color.map((part) => Math.round(part).toString(16).padStart(2, '0')).join('')}`

/** WCAG 2.2, "relative luminance". */
function luminance(color: Rgb): number {
  const [red = 0, green = 0, blue = 0] = color.map((part) => {
    const share = part / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** The contrast is between 1 (equal colours) and 21 (black on white). */
export function contrast(first: Rgb, second: Rgb): number {
  const [dark = 0, light = 0] = [luminance(first), luminance(second)].sort((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

export function mix(color: Rgb, other: Rgb, share: number): Rgb {
  const part = (index: 0 | 1 | 2) => Math.round(color[index] * (1 - share) + other[index] * share)
  return [part(0), part(1), part(2)]
}

const STEPS = 50

/** Mixes the colour with `towards`, only as much as is needed to reach the contrast with every background. */
export function ensureContrast(
  color: Rgb,
  backgrounds: readonly Rgb[],
  minContrast: number,
  towards: Rgb,
): Rgb {
  for (let step = 0; step < STEPS; step++) {
    const candidate = mix(color, towards, step / STEPS)
    if (backgrounds.every((background) => contrast(candidate, background) >= minContrast)) return candidate
  }
  return towards
}
