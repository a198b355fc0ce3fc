/** How a thread starts: a program for `new Worker(…, { eval: true })`. Must not know what the thread does. */
import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import { programFile } from './package-files.ts'

/**
 * The cache of compiled code must be enabled in each thread. In a checkout it also holds the sources without their types, and removing
 * the types costs about 20 MB. Node.js caches in a folder of its own version below the one that it is given.
 *
 * @param path of the program in src/, without its extension
 */
export function workerProgram(path: string): string {
  const cache = getCompileCacheDir()
  return `
    ${cache ? `require('node:module').enableCompileCache(${JSON.stringify(dirname(cache))})` : ''}
    import(${JSON.stringify(programFile(path).href)})`
}
