/**
 * How an operator types a command, for every message that tells them to run one. In a checkout only npm finds the program; the
 * published package, which has no TypeScript, puts `keyturn` on the path.
 */
import { runsFromSource } from './package-files.ts'

const PROGRAM = runsFromSource ? 'npx keyturn' : 'keyturn'

/** `commandLine('keys rotate')` is `npx keyturn keys rotate` in a checkout. */
export const commandLine = (command: string): string => `${PROGRAM} ${command}`
