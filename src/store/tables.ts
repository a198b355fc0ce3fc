/**
 * All tables, for code that copies a whole store. A table that others refer to comes before them. A test compares the list with
 * the migrations.
 */
export interface Table {
  readonly name: string
  /** The columns of the primary key. The table is read in pages in this order. */
  readonly key: readonly string[]
  /** Migrations insert rows, so the table is not empty in a new store. */
  readonly seeded?: true
  /** Set if rows are large, so that a page of them fits in memory. */
  readonly rowsPerPage?: number
  /** A column that the engine computes from others. */
  readonly computed?: string
}

const table = (name: string, ...key: string[]): Table => ({ name, key })

export const TABLES: readonly Table[] = [
  { name: 'revisions', key: ['name'], seeded: true },
  table('ring_lanes', 'alg'),
  table('ring', 'id'),
  table('store_identity', 'id'),
  table('ring_keys', 'kid'),
  table('data_keys', 'number'),
  table('apis', 'identifier'),
  table('api_scopes', 'scope'),
  { name: 'client_logos', key: ['hash'], rowsPerPage: 50 },
  table('clients', 'id'),
  table('client_lanes', 'client_id', 'alg'),
  table('client_secrets', 'id'),
  table('roles', 'name'),
  table('users', 'id'),
  table('user_roles', 'user_id', 'role'),
  table('one_time_links', 'user_id', 'purpose'),
  { name: 'user_sessions', key: ['id'], computed: 'end_hour' },
  { name: 'client_sessions', key: ['id'], computed: 'end_hour' },
  table('authorization_codes', 'hash'),
  table('pushed_requests', 'hash'),
  table('consents', 'user_id', 'client_id', 'audience'),
  table('logout_outbox', 'client_session_id'),
  table('totp_secrets', 'user_id'),
  table('passkeys', 'id'),
  table('recovery_codes', 'user_id', 'position'),
  table('single_use', 'id'),
  table('revoked_tokens', 'jti'),
  { name: 'status_cursors', key: ['kind'], seeded: true },
  table('status_lists', 'list'),
  table('status_blocks', 'list', 'start'),
  table('status_entries', 'list', 'idx'),
  table('rate_limits', 'key'),
  table('known_locations', 'key'),
  table('verifiers', 'name', 'instance'),
  table('expected_verifiers', 'name'),
  table('nodes', 'id'),
  table('idempotent_requests', 'actor', 'idempotency_key'),
  table('audit', 'seq'),
  { name: 'audit_head', key: ['id'], seeded: true },
]
