/**
 * A subject is a token server in a separate process. The request, the claims and the key size are the same for all subjects,
 * so that only the servers differ.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

export const API = 'https://orders.example'
export const SCOPE = 'orders:read'
export const CLIENT_ID = 'bench'
export const LIFETIME = 600
export const RSA_BITS = 2048
/** Nothing listens at this address; the simulated browser stops before it. */
export const CALLBACK = 'https://client.example/cb'
/** The usernames are `bench-0` to `bench-31`; all have the same password. */
export const USER_COUNT = 32
export const PASSWORD = 'bench bench bench'
/** Role that grants the scope to the users. */
export const ROLE = 'reader'

export interface Subject {
  readonly name: string
  /** One line below the table. */
  readonly description: string
  readonly tokenUrl: string
  readonly jwksUrl: string
  readonly issuer: string
  readonly secret: string
  readonly pid: number
  /** Processor seconds of its database server, if that is on this machine. */
  readonly storeCpu?: () => number
  /** Creates refresh tokens of `count` different sessions; absent if the server issues none. */
  readonly refreshTokens?: (count: number) => Promise<string[]>
  /** Absent if the server has no sign-in. */
  readonly authorizeUrl?: string
  stop(): Promise<void>
}

/** Message of a program under bench/servers when it is listening. */
export interface Ready {
  readonly issuer: string
  readonly tokenUrl: string
  readonly jwksUrl: string
  readonly secret: string
  readonly authorizeUrl?: string
}

/** Starts a program of bench/servers and waits until it is listening. @param alg the algorithm with which it signs */
export async function startProgram(
  file: string,
  alg = 'RS256',
): Promise<{ child: ChildProcess; ready: Ready }> {
  const child = spawn(process.execPath, [new URL(`servers/${file}`, import.meta.url).pathname, alg], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const [ready] = await Promise.race([once(child, 'message'), rejectOnExit(child, file)])
  return { child, ready: ready as Ready }
}

/** Rejects when the process exits. */
export async function rejectOnExit(child: ChildProcess, name: string): Promise<never> {
  const [code, signal] = await once(child, 'exit')
  throw new Error(`${name} exited before it was ready (${signal ?? `exit ${code}`})`)
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

/** RFC 6749 §2.3.1. The values need no form-encoding. */
export const basic = (secret: string): string =>
  `Basic ${Buffer.from(`${CLIENT_ID}:${secret}`).toString('base64')}`
