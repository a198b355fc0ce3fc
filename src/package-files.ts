/**
 * Where the files of this package are: in a checkout, where each module is a file, and in the published package, where modules are
 * put together into files that are directly in dist/. No other module looks for files beside itself.
 */

/** Whether the sources run, and not the published package. */
export const runsFromSource = import.meta.url.endsWith('.ts')

// One folder up both from src/ and from dist/.
const folder = new URL('../', import.meta.url)

/** @param path from the folder of `package.json` */
export const packageFile = (path: string): URL => new URL(path, folder)

/**
 * A module that a thread or a process of its own runs.
 * @param name the file in src/, without its extension. The script `build` in package.json has a list of them.
 */
export const programFile = (name: string): URL =>
  packageFile(runsFromSource ? `src/${name}.ts` : `dist/${name.slice(name.lastIndexOf('/') + 1)}.js`)
