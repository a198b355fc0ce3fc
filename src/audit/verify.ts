/** Reads the whole audit log and says what is not as it was written. Must not know who asks, or mend anything. */
import type { AuditHead, AuditRow, AuditStore } from '../store/contracts/audit.ts'
import { type AuditKeys, hashOf, isSigned } from './chain.ts'

export interface Verdict {
  /** Rows that were read. */
  readonly rows: number
  /** `<seq>:<hash>` of the last row. */
  readonly head: string | null
  /** The last row that was pruned. */
  readonly prunedTo: number
  /** Whether the head is signed; null while nobody has made a master key. */
  readonly signed: boolean | null
  /** One sentence each; none if all is as it was written. */
  readonly findings: readonly string[]
}

export interface Anchor {
  readonly seq: number
  readonly hash: string
}

interface VerifyDeps {
  readonly rows: Pick<AuditStore, 'state' | 'page'>
  readonly keys: AuditKeys | null
  readonly hasRing: boolean
  /** What the log said of itself before, from somewhere else. */
  readonly anchor?: Anchor
}

const PAGE = 1000
/** Sentences beyond these would help nobody. */
const MAX_FINDINGS = 1000
/** Rows for which it is tried whether they have changed places. */
const MAX_COMPARED = 100
const ATTEMPTS = 5

export async function verifyLog(deps: VerifyDeps): Promise<Verdict> {
  for (let attempt = 1; ; attempt += 1) {
    const verdict = await verifyOnce(deps)
    // What was pruned while we read it is not missing.
    const { head } = await deps.rows.state()
    const moved = head !== null && head.baseSeq !== verdict.prunedTo
    if (verdict.findings.length === 0 || !moved || attempt === ATTEMPTS) return verdict
  }
}

async function verifyOnce({ rows, keys, hasRing, anchor }: VerifyDeps): Promise<Verdict> {
  const { head, firstSeq, lastSeq } = await rows.state()
  const findings: string[] = []
  const found = (text: string) => {
    if (findings.length < MAX_FINDINGS) findings.push(text)
  }
  const base = { seq: head?.baseSeq ?? 0, hash: head?.baseHash ?? '' }
  // Without a head the rows alone are compared with each other, from the first that is there.
  let before: Pick<AuditRow, 'seq' | 'hash'> | null = head ? base : null
  let count = 0
  let anchored: string | undefined = anchor?.seq === base.seq ? base.hash : undefined
  const broken: Broken[] = []

  if (head && firstSeq !== null && firstSeq <= base.seq) {
    found(`row ${firstSeq} is before the beginning of the log, row ${base.seq + 1}: it was inserted`)
  }
  const end = head ? head.seq : lastSeq
  for (let after = base.seq; ; ) {
    const page = await rows.page(after, PAGE)
    for (const row of page) {
      // What has been added since we asked for the head comes behind it.
      if (row.seq > end) break
      count += 1
      const expected: number = before ? before.seq + 1 : row.seq
      if (row.seq > expected) found(missing(expected, row.seq - 1))
      else if (before && broken.length < MAX_FINDINGS && hashOf(before.hash, row) !== row.hash) {
        broken.push({ row, before: before.hash })
      }
      if (row.seq === anchor?.seq) anchored = row.hash
      before = row
    }
    after = page.at(-1)?.seq ?? end
    if (page.length < PAGE || after >= end) break
  }
  for (const text of sentences(broken)) found(text)
  if (!head) found('the head of the log is missing')
  else checkHead(head, before ?? base)
  checkAnchor()
  const signed = !head || (keys === null && !hasRing) ? null : isSignedOrNew(head)
  if (signed === false) {
    found(
      'the head was not written by Keyturn: rows may have been cut off behind it, or all been written anew',
    )
  }
  const last = before && before.seq > 0 ? `${before.seq}:${before.hash}` : null
  return { rows: count, head: last, prunedTo: base.seq, signed, findings }

  function checkHead(head: AuditHead, last: Pick<AuditRow, 'seq' | 'hash'>): void {
    if (last.seq < head.seq) found(`${missing(last.seq + 1, head.seq)}: the end of the log was cut off`)
    else if (last.hash !== head.hash)
      found(`the head names another row ${head.seq}: it or the row was changed`)
    if (lastSeq > head.seq)
      found(`row ${lastSeq} is behind the end of the log, row ${head.seq}: it was inserted`)
  }

  function checkAnchor(): void {
    if (!anchor || anchored === anchor.hash) return
    if (anchor.seq < base.seq) found(`row ${anchor.seq} was pruned: the anchor is too old to be compared`)
    else if (anchor.seq > end) found(`the log ends at row ${end}, before the anchor: its end was cut off`)
    else found(`row ${anchor.seq} is not the one that the anchor names: the log was written anew`)
  }

  function isSignedOrNew(head: AuditHead): boolean {
    if (keys && isSigned(keys, head)) return true
    return head.mac === null && head.seq === 0 && head.baseSeq === 0
  }
}

const missing = (from: number, to: number): string =>
  from === to ? `row ${from} is missing` : `rows ${from} to ${to} are missing`

interface Broken {
  readonly row: AuditRow
  /** The hash of the row that is before it now. */
  readonly before: string
}

/** Rows that do not fit where they are: in each other's places, or changed. */
function sentences(broken: readonly Broken[]): string[] {
  const texts: string[] = []
  const done = new Set<Broken>()
  for (const one of broken.slice(0, MAX_COMPARED)) {
    if (done.has(one)) continue
    const other = broken.slice(0, MAX_COMPARED).find((two) => !done.has(two) && areExchanged(one, two))
    if (!other) continue
    done.add(one).add(other)
    texts.push(`rows ${one.row.seq} and ${other.row.seq} have changed places`)
  }
  // The row behind one that was moved does not fit either.
  const moved = new Set([...done].map(({ row }) => row.seq))
  const rest = broken.filter((one) => !done.has(one) && !moved.has(one.row.seq - 1)).map(({ row }) => row.seq)
  for (const [from, to] of runs(rest)) {
    // Nobody can tell which of them it was.
    if (from === to) texts.push(`row ${from} was changed, or row ${from - 1} with its hash`)
    else texts.push(`rows ${from} to ${to} were changed`)
  }
  return texts
}

/** Rows behind each other, as the first and the last of them. */
function runs(seqs: readonly number[]): [number, number][] {
  const found: [number, number][] = []
  for (const seq of seqs) {
    const last = found.at(-1)
    if (last?.[1] === seq - 1) last[1] = seq
    else found.push([seq, seq])
  }
  return found
}

/** Whether each is what was written in the place of the other, the first being the earlier. */
function areExchanged(one: Broken, two: Broken): boolean {
  if (one.row.seq >= two.row.seq) return false
  const neighbours = two.row.seq === one.row.seq + 1
  return (
    hashOf(one.before, { ...two.row, seq: one.row.seq }) === two.row.hash &&
    hashOf(neighbours ? two.row.hash : two.before, { ...one.row, seq: two.row.seq }) === one.row.hash
  )
}
