/** What the URL of a database says, without opening it. */
import { resolve } from 'node:path'

/** Whether the store is on a server, so that several nodes can share it. */
export const isPostgres = (url: string): boolean => /^postgres(ql)?:/.test(url)

/** The file that contains the store; null if the store is in memory or on a server. */
export function databaseFile(url: string): string | null {
  const path = pathOf(url)
  return path === ':memory:' || isPostgres(url) ? null : path
}

/** Names the database in messages: the file with its whole path, or the URL without its password. */
export function databaseName(url: string): string {
  if (!isPostgres(url)) return resolve(pathOf(url))
  const { protocol, username, host, pathname } = new URL(url)
  // A password may be in the query too.
  return `${protocol}//${username ? `${username}@` : ''}${host}${pathname}`
}

/** The path after `sqlite:`. */
export const pathOf = (url: string): string => url.replace(/^sqlite:(\/\/(?=\/))?/, '')
