/** Ours, where there is no other: a key, and the turn it makes. */
import { accentOf } from '../brand.ts'

/** Attributes only, no style: a policy that forbids styles forbids them in pictures, too. */
export function defaultLogo(color: string): string {
  const { button, onButton } = accentOf(color, 'light')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">
<rect width="64" height="64" rx="16" fill="${button}"/>
<g fill="none" stroke="${onButton}" stroke-linecap="round" stroke-linejoin="round">
<g stroke-width="4.5" transform="rotate(-45 32 32)"><circle cx="21" cy="32" r="7.5"/><path d="M28.5 32H47M40 32v6.500M47 32v5"/></g>
<path stroke-width="3" stroke-opacity=".55" d="M13.500 39A20.500 20.500 0 0 0 39 51.300M50.500 25A20.500 20.500 0 0 0 25 12.700"/>
</g>
</svg>
`
}
