import t, { type Test } from 'tap'
import { withoutStrace } from '../support/processes/fault-injection.ts'
import { killFirstStarts, killInFlushes } from '../support/processes/flush-kills.ts'

if (withoutStrace) t.comment(`WARNING: ${withoutStrace}`)
const options = { skip: withoutStrace }

for (const calls of ['fsync,fdatasync', 'link,unlink,rmdir']) {
  t.test(
    `a first start killed in any of its calls of ${calls} is finished by the next (§4 rows 1, 8, 11)`,
    options,
    (t) => killFirstStarts(t as Test, calls),
  )
}

t.test('a first start killed in any of its writes is finished by the next (§4 rows 1, 8, 11)', options, (t) =>
  killFirstStarts(t as Test, 'write,pwrite64', 7),
)

t.test('killed in the flush itself, under load, nothing acknowledged is lost (§4 row 1)', options, (t) =>
  killInFlushes(t as Test, 15),
)
