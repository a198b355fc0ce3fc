import t from 'tap'
import { runShare } from '../support/postgres/flows-on-postgres.ts'

await runShare(t, 2, 6)
