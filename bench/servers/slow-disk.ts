/** `keyturn serve` on a disk whose flushes take FLUSH_DELAY milliseconds longer. A separate entry, so that the program has no such setting. */
import { start } from '../../src/main.ts'

await start({ flushDelay: Number(process.env.FLUSH_DELAY) })
