/**
 * Four counters that let a node notice changes by other processes without reading all tables: for the key ring, the registry
 * (clients, APIs, roles), the status lists, and the data keys. Each grows in the batch that makes the change.
 */
interface Revisions {
  readonly ring: number
  readonly registry: number
  readonly status: number
  readonly dataKeys: number
}

export interface RevisionStore {
  /** All counters, read at one moment. A counter without a row is 0. */
  read(): Promise<Revisions>
}
