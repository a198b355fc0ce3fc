/** The HTML of the pages. All values are escaped. */
import type { Order, Result } from './orders-api.ts'

const SPECIAL: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => SPECIAL[character] ?? character)

export interface User {
  readonly name: string
  /** URL of the user's account page at the issuer: password, second factors, sessions. */
  readonly accountUrl: string
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
<p id="error" role="alert"></p>
</main>
</html>
`

export const welcomePage = (): string =>
  page(`<h1>Orders</h1>
<p>You are not signed in.</p>
<p><a class="button" href="/auth/login">Sign in</a></p>`)

export const errorPage = (message: string): string =>
  page(`<h1>Something went wrong</h1>
<p>${escaped(message)}</p>
<p><a class="button" href="/">Continue</a></p>`)

export const homePage = (user: User, orders: Result<Order[]>, scopes: readonly string[]): string =>
  page(`<h1>Orders</h1>
<p>Signed in as <strong>${escaped(user.name)}</strong> · <a href="${escaped(user.accountUrl)}">account</a></p>
${orders.error === undefined ? list(orders.value ?? []) : `<p>${escaped(orders.error)}</p>`}
${scopes.includes('orders:write') ? ORDER_FORM : ''}
<form action="/auth/logout"><button class="quiet">Sign out</button></form>`)

const list = (orders: readonly Order[]) =>
  orders.length === 0
    ? '<p>No orders yet.</p>'
    : `<ul>\n${orders.map(({ item }) => `<li>${escaped(item)}</li>`).join('\n')}\n</ul>`

const ORDER_FORM = `<form action="/orders">
<input name="item" aria-label="Item" placeholder="a lamp" required maxlength="100"> <button>Order</button>
</form>`
