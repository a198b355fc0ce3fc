/** Verifies the whole audit log, and describes what is missing or was changed. Must not change anything. */
import type { AuditHead, AuditRow, AuditStore } from '../store/contracts/audit.ts'
import { listed } from '../store/remains.ts'
import type { Anchor, KeptAnchor } from './anchor.ts'
import { type AuditKeys, hashRow, signatureOf } from './chain.ts'
import { createErasureCheck } from './erasure-check.ts'

export interface VerifyResult {
  /** How many rows were read. */
  readonly rows: number
  /** `<seq>:<hash>` of the last row. */
  readonly head: string | null
  /** `seq` of the last row that was pruned. */
  readonly prunedTo: number
  /** Whether the head has a valid MAC of the newest data key; null if the store has no ring yet. */
  readonly signed: boolean | null
  /** One sentence for each; empty if the log is intact. */
  readonly findings: readonly string[]
}

type Kept = NonNullable<VerifyDeps['kept']>

interface VerifyDeps {
  readonly rows: Pick<AuditStore, 'state' | 'page' | 'find'>
  readonly keys: AuditKeys | null
  readonly hasRing: boolean
  /** Tables with rows that only a store with a ring has, if there is no ring (store/remains.ts). */
  readonly remains?: readonly string[]
  /** An earlier end of the log, kept outside the database. */
  readonly anchor?: Anchor
  /** The anchor of the store record, which must be read before the log, and the name of its file. */
  readonly kept?: { readonly anchor: KeptAnchor; readonly file: string }
}

const PAGE = 1000
const MAX_FINDINGS = 1000
/** How many broken rows are compared with each other, to find rows that were swapped. */
const MAX_COMPARED = 100
const ATTEMPTS = 5

export async function verifyLog(deps: VerifyDeps): Promise<VerifyResult> {
  for (let attempt = 1; ; attempt += 1) {
    const result = await verifyOnce(deps)
    // Rows that were pruned during the verification are not missing: verify again.
    const { head } = await deps.rows.state()
    const moved = head !== null && head.baseSeq !== result.prunedTo
    if (result.findings.length === 0 || !moved || attempt === ATTEMPTS) return result
  }
}

async function verifyOnce({
  rows,
  keys,
  hasRing,
  remains = [],
  anchor,
  kept,
}: VerifyDeps): Promise<VerifyResult> {
  const { head, firstSeq, lastSeq } = await rows.state()
  const findings: string[] = []
  const report = (text: string) => {
    if (findings.length < MAX_FINDINGS) findings.push(text)
  }
  const base = { seq: head?.baseSeq ?? 0, hash: head?.baseHash ?? '' }
  // Without a head, the chain is verified from the first stored row.
  let previous: Pick<AuditRow, 'seq' | 'hash'> | null = head ? base : null
  let count = 0
  /** `seq` → `hash` of the rows that the anchors name. */
  const anchored = new Map([[base.seq, base.hash]])
  const named = [anchor?.seq, kept?.anchor.seq]
  const broken: Broken[] = []
  const erasures = createErasureCheck(report)

  if (head && firstSeq !== null && firstSeq <= base.seq) {
    report(`row ${firstSeq} is before the beginning of the log, row ${base.seq + 1}: it was inserted`)
  }
  const end = head ? head.seq : lastSeq
  for (let after = base.seq; ; ) {
    const page = await rows.page(after, PAGE)
    for (const row of page) {
      // Rows after the end were added after the head was read.
      if (row.seq > end) break
      count += 1
      const expected: number = previous ? previous.seq + 1 : row.seq
      if (row.seq > expected) report(missing(expected, row.seq - 1))
      else if (previous && hashRow(previous.hash, row) !== row.hash) {
        if (broken.length < MAX_FINDINGS) broken.push({ row, previous: previous.hash })
      } else erasures.read(row)
      if (named.includes(row.seq)) anchored.set(row.seq, row.hash)
      previous = row
    }
    after = page.at(-1)?.seq ?? end
    if (page.length < PAGE || after >= end) break
  }
  for (const text of describeBroken(broken)) report(text)
  await erasures.finish(rows, end)
  if (!head) report('the head of the log is missing')
  else checkHead(head, previous ?? base)
  checkAnchor()
  // Without a ring no signature is expected, so an attacker who rewrites the log would delete the ring too.
  if (remains.length > 0) {
    report(`the database has no key ring, but rows in ${listed(remains)}: the ring was deleted`)
  }
  if (head && kept) checkKept(head, kept)
  const signed = head && hasRing ? checkSignature(head) : null
  const last = previous && previous.seq > 0 ? `${previous.seq}:${previous.hash}` : null
  return { rows: count, head: last, prunedTo: base.seq, signed, findings }

  function checkHead(head: AuditHead, last: Pick<AuditRow, 'seq' | 'hash'>): void {
    if (last.seq < head.seq) report(`${missing(last.seq + 1, head.seq)}: the end of the log was cut off`)
    else if (last.hash !== head.hash) report(`the head does not fit row ${head.seq}: one of them was changed`)
    if (lastSeq > head.seq)
      report(`row ${lastSeq} is after the end of the log, row ${head.seq}: it was inserted`)
  }

  function checkAnchor(): void {
    if (!anchor || anchored.get(anchor.seq) === anchor.hash) return
    if (anchor.seq < base.seq) report(`row ${anchor.seq} was pruned: the anchor is too old to be compared`)
    else if (anchor.seq > end) report(`the log ends at row ${end}, before the anchor: its end was cut off`)
    // A row that is missing was reported, and there is no other row in its place.
    else if (anchored.has(anchor.seq))
      report(`row ${anchor.seq} is not the row of the anchor: the log was rewritten`)
  }

  function checkKept(head: AuditHead, { anchor: { seq, hash, acceptedAt }, file }: Kept): void {
    // The log was accepted after this anchor was kept, so its end may have moved back. The acceptance is an event of the log.
    if (head.acceptedAt > acceptedAt) return
    if (head.acceptedAt < acceptedAt) {
      report(`the log is from before the acceptance that ${file} records: an older copy was put back`)
    } else if (seq > end) {
      report(
        `the log ends at row ${end}, before row ${seq} in ${file}: its end was cut off, or an older copy was put back`,
      )
    } else if (anchored.has(seq) && anchored.get(seq) !== hash) {
      report(`row ${seq} is not the row in ${file}: an older copy was put back, or the log was rewritten`)
    }
  }

  function checkSignature(head: AuditHead): boolean {
    const signature = signatureOf(keys, head)
    if (signature.by === 'newest') return true
    if (signature.by === 'older') {
      const state = signature.invalidated ? 'was invalidated by master-key rotate' : 'no longer signs'
      report(
        `the head has a MAC of data key ${signature.dataKey}, which ${state}: an older head was put back, or someone with an older master key wrote it`,
      )
    } else {
      report(
        'the head was not written by Keyturn: rows may have been cut off at the end, or all rows rewritten',
      )
    }
    return false
  }
}

const missing = (from: number, to: number): string =>
  from === to ? `row ${from} is missing` : `rows ${from} to ${to} are missing`

interface Broken {
  readonly row: AuditRow
  /** The hash of the row that is now before this row. */
  readonly previous: string
}

/** Rows whose hash does not fit: they were swapped or changed. */
function describeBroken(broken: readonly Broken[]): string[] {
  const texts: string[] = []
  const swapped = new Set<Broken>()
  for (const first of broken.slice(0, MAX_COMPARED)) {
    if (swapped.has(first)) continue
    const other = broken
      .slice(0, MAX_COMPARED)
      .find((second) => !swapped.has(second) && wereSwapped(first, second))
    if (!other) continue
    swapped.add(first).add(other)
    texts.push(`rows ${first.row.seq} and ${other.row.seq} were swapped`)
  }
  // The hash of the row after a swapped row does not fit, although that row was not changed.
  const moved = new Set([...swapped].map(({ row }) => row.seq))
  const rest = broken
    .filter((entry) => !swapped.has(entry) && !moved.has(entry.row.seq - 1))
    .map(({ row }) => row.seq)
  for (const [from, to] of runs(rest)) {
    // It cannot be determined which of them was changed.
    if (from === to) texts.push(`row ${from} was changed, or row ${from - 1} and its hash were changed`)
    else texts.push(`rows ${from} to ${to} were changed`)
  }
  return texts
}

/** Ranges of consecutive numbers, as the first and the last of each. */
function runs(seqs: readonly number[]): [number, number][] {
  const ranges: [number, number][] = []
  for (const seq of seqs) {
    const last = ranges.at(-1)
    if (last?.[1] === seq - 1) last[1] = seq
    else ranges.push([seq, seq])
  }
  return ranges
}

/** Whether each row was written in the place of the other. `first` must be the earlier row. */
function wereSwapped(first: Broken, second: Broken): boolean {
  if (first.row.seq >= second.row.seq) return false
  const neighbours = second.row.seq === first.row.seq + 1
  return (
    hashRow(first.previous, { ...second.row, seq: first.row.seq }) === second.row.hash &&
    hashRow(neighbours ? second.row.hash : second.previous, { ...first.row, seq: second.row.seq }) ===
      first.row.hash
  )
}
