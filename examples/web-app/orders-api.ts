/** Calls examples/orders-api in the name of who is signed in. Its trouble is told to people; it never breaks the page. */

export interface Order {
  readonly id: string
  readonly item: string
}

export interface Outcome<T> {
  readonly value?: T
  /** What to tell the person instead. */
  readonly trouble?: string
}

export interface OrdersApi {
  list(token: string): Promise<Outcome<Order[]>>
  add(token: string, item: string): Promise<Outcome<Order>>
}

export function ordersApi(url: string): OrdersApi {
  async function call<T>(token: string, init: RequestInit = {}): Promise<Outcome<T>> {
    const headers = { authorization: `Bearer ${token}`, ...init.headers }
    try {
      const answer = await fetch(`${url}/orders`, { ...init, headers, signal: AbortSignal.timeout(5000) })
      if (answer.ok) return { value: (await answer.json()) as T }
      // A person whose roles grant no scope of the API has a token for somebody else, so 401 may mean that as well.
      const forbidden = answer.status === 401 || answer.status === 403
      return { trouble: forbidden ? 'You may not do this with orders.' : 'Orders are out of order.' }
    } catch {
      return { trouble: `Orders are not there: does ${url} run?` }
    }
  }

  return {
    list: (token) => call(token),
    add: (token, item) =>
      call(token, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ item }),
      }),
  }
}
