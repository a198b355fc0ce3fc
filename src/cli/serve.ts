import type { Config } from '../config/load.ts'
import { generateKey } from '../keys/algorithms.ts'
import { beginFirstLanes, type FirstLanes } from '../keys/new-keys.ts'
import { isFirstStart } from '../node/expected-store.ts'
import { createStoreRecord } from '../node/store-record.ts'
import { action, type CommandFactory, type Context, examples } from './context.ts'
import { bitsOption } from './key-options.ts'
import type { ServeOptions } from './run-server.ts'

export const serveCommand: CommandFactory = (context) =>
  examples(
    action('serve', 'run the server')
      .addOption(bitsOption('RSA key size for a new key ring'))
      .option(
        '--new',
        'accept a new or different store, even if the master key or the store record belongs to another one',
      )
      .action((options: ServeOptions) => serve(context, options)),
    'serve',
    'serve --bits 4096',
  )

async function serve(context: Context, options: ServeOptions): Promise<void> {
  const stopped = context.io.stopSignal()
  const own = context.config()
  const firstLanes = beginKeys(context, own, options)
  // Loading the rest of the server takes about as long as generating two keys, and the thread pool does that meanwhile.
  const { runServer } = await import('./run-server.ts')
  await runServer(context, options, { own, firstLanes, stopped })
}

/** Only the first start has a reason to generate keys before it has opened the store. */
function beginKeys({ io }: Context, own: Config, options: ServeOptions): FirstLanes | undefined {
  if (!isFirstStart(own, createStoreRecord(own), options.new === true)) return undefined
  return beginFirstLanes({ generateKey: io.generateKey ?? generateKey }, own.algorithms, options.bits)
}
