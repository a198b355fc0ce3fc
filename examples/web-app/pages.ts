/** HTML, and nothing but: what is put in is escaped. */
import type { Order, Outcome } from './orders-api.ts'

const SPECIAL: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escaped = (text: string) => text.replace(/[&<>"']/g, (one) => SPECIAL[one] ?? one)

export interface Person {
  readonly name: string
  /** Their page at the issuer: password, second factors, where they are signed in. */
  readonly account: string
}

const page = (body: string) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Web app</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/app.css">
<script src="/app.js" defer></script>
<main>
${body}
<p id="trouble" role="alert"></p>
</main>
</html>
`

export const welcomePage = (): string =>
  page(`<h1>Orders</h1>
<p>Nobody is signed in.</p>
<p><a class="button" href="/auth/login">Sign in</a></p>`)

export const troublePage = (message: string): string =>
  page(`<h1>That did not work</h1>
<p>${escaped(message)}</p>
<p><a class="button" href="/">Go on</a></p>`)

export const homePage = (person: Person, orders: Outcome<Order[]>, scopes: readonly string[]): string =>
  page(`<h1>Orders</h1>
<p>Signed in as <strong>${escaped(person.name)}</strong> · <a href="${escaped(person.account)}">account</a></p>
${orders.trouble === undefined ? list(orders.value ?? []) : `<p>${escaped(orders.trouble)}</p>`}
${scopes.includes('orders:write') ? ORDER : ''}
<form action="/auth/logout"><button>Sign out</button></form>`)

const list = (orders: readonly Order[]) =>
  orders.length === 0
    ? '<p>No orders yet.</p>'
    : `<ul>\n${orders.map(({ item }) => `<li>${escaped(item)}</li>`).join('\n')}\n</ul>`

const ORDER = `<form action="/orders">
<input name="item" aria-label="What" placeholder="a lamp" required maxlength="100"> <button>Order</button>
</form>`
