import t from 'tap'
import { RegistrationError } from '../../src/oauth/client-registration/registration-error.ts'
import { checkRedirectUri, identifiesClient, matchesRedirectUri } from '../../src/oauth/redirect-uri.ts'

const GOOD = [
  'https://app.example/callback',
  'https://app.example',
  'https://app.example:8443/cb?tenant=1',
  'https://APP.example/Case',
  'https://app.example:443/cb',
  'http://localhost:8080/cb',
  'http://localhost/cb',
  'http://127.0.0.1:51004/cb',
  'http://[::1]:61023/cb',
  'com.example.app:/oauth2redirect',
  'com.example.app://cb',
]

const BAD: Record<string, string> = {
  'javascript:alert(1)': 'a script',
  'JavaScript:alert(1)': 'a script in capitals',
  'data:text/html,<script>': 'a document in the address',
  'vbscript:x': 'another script',
  'file:///etc/passwd': 'a file',
  'blob:https://app.example/1': 'a blob',
  'myapp:/cb': 'a scheme that any app could claim',
  '/callback': 'relative',
  'app.example/callback': 'another relative URI',
  '//app.example/callback': 'without a scheme',
  '': 'nothing',
  'https://app.example/cb#': 'an empty fragment',
  'https://app.example/cb#here': 'a fragment',
  'https://user@app.example/cb': 'a user',
  'https://app.example@evil.example/cb': 'a user that looks like a host',
  'http://127.0.0.1:1@evil.example/cb': 'a user that looks like loopback',
  'http://127.0.0.1:@evil.example/cb': 'a user that looks like loopback, without a port',
  'com.example.app://user@host/cb': 'a user at an app',
  'http://app.example/cb': 'plain http',
  'http://127.0.0.1.evil.example/cb': 'a host that begins like loopback',
  'http://localhost.evil.example/cb': 'a host that begins like localhost',
  'http://127.1/cb': 'loopback in short',
  'http://0x7f.1/cb': 'loopback in hexadecimal',
  'http://127.0.0.2/cb': 'another loopback address',
  'https://app.example\\@evil.example/cb': 'a backslash',
  'https://app.example/c b': 'a space',
  'https://app.example/\tcb': 'a tab',
  'https://app.example/cb\n': 'a newline',
  'https://app.exämple/cb': 'letters beyond ASCII',
  'https://app．example/cb': 'a character that looks like a dot',
  'https:app.example/cb': 'https without slashes',
  'https://ex%61mple.com/cb': 'an encoded host',
  'https://': 'no host',
  'https://app.example/*': 'a wildcard',
  'https://*.example/cb': 'a wildcard in the host',
  'http://localhost:*/cb': 'a wildcard for the port',
  'com.example.app:/*': 'a wildcard at an app',
  'http://127.0.0.1:0/cb': 'port 0',
  'http://localhost:0/cb': 'port 0 by name',
  'https://app.example:0': 'port 0 at the end',
  'http://127.0.0.1:/cb': 'an empty port',
  [`https://app.example/${'a'.repeat(2000)}`]: 'endless',
}

t.test(
  'https, loopback http and private-use schemes can be registered (RFC 9700 §2.6, RFC 8252 §7)',
  async (t) => {
    for (const uri of GOOD) t.doesNotThrow(() => checkRedirectUri(uri), uri)
  },
)

t.test(
  'any other redirect URI is invalid_redirect_uri (RFC 7591 §3.2.2; docs/security.md P16, P20)',
  async (t) => {
    for (const [uri, what] of Object.entries(BAD)) {
      t.throws(
        () => checkRedirectUri(uri),
        { name: RegistrationError.name, code: 'invalid_redirect_uri' },
        what,
      )
    }
  },
)

t.test(
  'a registered URI matches exactly, a loopback one with any port (RFC 8252 §7.3; docs/security.md C30, C31)',
  async (t) => {
    for (const uri of GOOD) t.ok(matchesRedirectUri(['https://first.example/', uri], uri), uri)
    const matches: readonly (readonly [string, string, boolean])[] = [
      ['http://127.0.0.1/cb', 'http://127.0.0.1:51004/cb', true],
      ['http://127.0.0.1:8080/cb', 'http://127.0.0.1/cb', true],
      ['http://127.0.0.1:8080', 'http://127.0.0.1:65535', true],
      ['http://[::1]/cb?a=1', 'http://[::1]:61023/cb?a=1', true],
      ['http://127.0.0.1/cb', 'http://127.0.0.1:65536/cb', false],
      ['http://127.0.0.1/cb', 'http://127.0.0.1:0/cb', false],
      ['http://127.0.0.1/cb', 'http://127.0.0.1:01/cb', false],
      ['http://127.0.0.1/cb', 'http://127.0.0.1:1@evil.example/cb', false],
      ['http://127.0.0.1/cb', 'http://127.0.0.1:@evil.example/cb', false],
      ['http://127.0.0.1/cb', 'http://127.0.0.1.evil.example/cb', false],
      ['http://127.0.0.1/cb', 'http://127.0.0.1:1/cb/', false],
      ['http://127.0.0.1/cb', 'http://[::1]/cb', false],
      ['http://127.0.0.1/cb', 'https://127.0.0.1/cb', false],
      ['http://127.0.0.1', 'http://127.0.0.1/', false],
      ['http://localhost/cb', 'http://localhost:8080/cb', false],
      ['http://localhost/cb', 'http://127.0.0.1/cb', false],
      ['https://app.example/cb', 'https://app.example:443/cb', false],
      ['https://app.example/cb', 'https://app.example:8443/cb', false],
    ]
    for (const [registered, uri, expected] of matches) {
      t.equal(matchesRedirectUri([registered], uri), expected, `${registered} ${uri}`)
    }
    t.notOk(matchesRedirectUri([], ''))
  },
)

t.test('only an https redirect URI identifies its owner (RFC 8252 §8.6; docs/security.md C44)', async (t) => {
  for (const uri of GOOD) t.equal(identifiesClient(uri), uri.startsWith('https:'), uri)
})

t.test('a redirect URI that could never match is refused with the reason', async (t) => {
  t.throws(() => checkRedirectUri('https://app.example/*'), {
    message: /must not contain \*: .*without wildcards/,
  })
  t.throws(() => checkRedirectUri('http://127.0.0.1:0/'), {
    message: /port 0 .*leave the port out, and any port matches/,
  })
  t.ok(matchesRedirectUri(['http://127.0.0.1/cb'], 'http://127.0.0.1:51004/cb'))
})
