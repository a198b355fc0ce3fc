/** Calls examples/orders-api on behalf of the signed-in user. A failure becomes a message for the page and is never thrown. */

export interface Order {
  readonly id: string
  readonly item: string
}

/** Either `value` or `error` is set. */
export interface Result<T> {
  readonly value?: T
  /** A message for the user. */
  readonly error?: string
}

export interface OrdersApi {
  list(token: string): Promise<Result<Order[]>>
  add(token: string, item: string): Promise<Result<Order>>
}

export function ordersApi(url: string): OrdersApi {
  async function call<T>(token: string, init: RequestInit = {}): Promise<Result<T>> {
    const headers = { authorization: `Bearer ${token}`, ...init.headers }
    try {
      const response = await fetch(`${url}/orders`, { ...init, headers, signal: AbortSignal.timeout(5000) })
      if (response.ok) return { value: (await response.json()) as T }
      // A user without any scope of this API has a token for another audience, so 401 can mean "not allowed" too.
      const forbidden = response.status === 401 || response.status === 403
      return { error: forbidden ? 'You do not have permission to do this.' : 'The orders API failed.' }
    } catch {
      return { error: `The orders API does not answer: is it running at ${url}?` }
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
