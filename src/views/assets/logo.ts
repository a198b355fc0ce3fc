/** The default logo: a key that turns. */
import { accentOf } from '../branding.ts'

/** Uses attributes and no styles, because a Content Security Policy that forbids styles also forbids them in images. */
export function defaultLogo(color: string): string {
  const { button, onButton } = accentOf(color, 'light')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">
<rect width="64" height="64" rx="16" fill="${button}"/>
<g fill="none" stroke="${onButton}" stroke-linecap="round" stroke-linejoin="round">
<g stroke-width="5" transform="rotate(-45 32 32)"><circle cx="20.5" cy="32" r="8.5"/><path d="M29 32H51M44 32v7M51 32v5.5"/></g>
<path stroke-width="3" stroke-opacity=".6" d="M10.3 28.2A22 22 0 0 1 28.2 10.3M23.4 7.6L28.2 10.3L24.7 14.5M53.7 35.8A22 22 0 0 1 35.8 53.7M40.6 56.4L35.8 53.7L39.3 49.5"/>
</g>
</svg>
`
}
