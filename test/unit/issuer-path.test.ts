import t from 'tap'
import { issuerBase, issuerPath } from '../../src/issuer-path.ts'

t.test(
  'an issuer with and without a trailing slash has the same base and path (RFC 8414 §3.1)',
  async (t) => {
    for (const [issuer, base, path] of [
      ['https://login.example.com', 'https://login.example.com', ''],
      ['https://login.example.com/', 'https://login.example.com', ''],
      ['https://login.example.com/tenant', 'https://login.example.com/tenant', '/tenant'],
      ['https://login.example.com/tenant/', 'https://login.example.com/tenant', '/tenant'],
      ['http://localhost:3000/a/b', 'http://localhost:3000/a/b', '/a/b'],
    ] as const) {
      t.equal(issuerBase(issuer), base)
      t.equal(issuerPath(issuer), path)
    }
  },
)
