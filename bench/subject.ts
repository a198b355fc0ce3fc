/**
 * What is measured: a token server in a process of its own, and what every one of them has in common. The
 * request, the claims and the key size are the same for all, so that only the servers differ.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

export const API = 'https://orders.example'
export const SCOPE = 'orders:read'
export const CLIENT_ID = 'bench'
export const LIFETIME = 600
export const RSA_BITS = 2048
/** Nothing listens there: the person's browser stops on the way to it. */
export const CALLBACK = 'https://client.example/cb'
/** User names are `bench-0` to `bench-31`, with one password. */
export const PEOPLE = 32
export const PASSWORD = 'bench bench bench'
/** What gives them the scope. */
export const ROLE = 'reader'

export interface Subject {
  readonly name: string
  /** One line for the reader of the table. */
  readonly what: string
  readonly tokenUrl: string
  readonly jwksUrl: string
  readonly issuer: string
  readonly secret: string
  readonly pid: number
  /** As many fresh refresh tokens, each of a session of its own; absent where there are none. */
  readonly refreshTokens?: (count: number) => Promise<string[]>
  /** Absent where nobody can sign in. */
  readonly authorizeUrl?: string
  stop(): Promise<void>
}

/** What a server program under bench/servers says as soon as it listens. */
export interface Ready {
  readonly issuer: string
  readonly tokenUrl: string
  readonly jwksUrl: string
  readonly secret: string
  readonly authorizeUrl?: string
}

/** Starts one of the programs beside this file and waits until it listens. */
export async function startProgram(file: string): Promise<{ child: ChildProcess; ready: Ready }> {
  const child = spawn(process.execPath, [new URL(`servers/${file}`, import.meta.url).pathname], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const [ready] = await Promise.race([once(child, 'message'), failure(child, file)])
  return { child, ready: ready as Ready }
}

/** Rejects if the process ends before it was of use. */
export async function failure(child: ChildProcess, name: string): Promise<never> {
  const [code, signal] = await once(child, 'exit')
  throw new Error(`${name} ended before it served anything (${signal ?? `exit ${code}`})`)
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

/** RFC 6749 §2.3.1; nothing here needs form-encoding. */
export const basic = (secret: string): string =>
  `Basic ${Buffer.from(`${CLIENT_ID}:${secret}`).toString('base64')}`
