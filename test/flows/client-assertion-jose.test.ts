import t from 'tap'
import { signCompact } from '../../src/keys/sign-compact.ts'
import { assertionServer } from '../support/server/client-assertions.ts'
import { base64url, clientKey, compact } from '../support/server/jws.ts'
import { claimsOf, clientCredentials, login } from '../support/server/requests.ts'
import { ISSUER } from '../support/server/server.ts'

const { server, keys, register, make, present, accepted, allRefused } = await assertionServer(t)

t.test(
  'only the algorithm of the registered key is accepted, and never none (RFC 8725 §3.1; docs/security.md B24)',
  async (t) => {
    const { publicKey, privateKey, jwk } = keys.RS256
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const der = publicKey.export({ type: 'spki', format: 'der' })
    const texts: Record<string, string | Buffer> = {
      PEM: pem,
      'PEM without its last line end': pem.trim(),
      DER: der,
      'JWK text': JSON.stringify(jwk),
      'JWK text without the rest': JSON.stringify(publicKey.export({ format: 'jwk' })),
      'the modulus': Buffer.from(String(jwk.n), 'base64url'),
      nothing: '',
    }
    const claims = { iss: 'rsa', sub: 'rsa', aud: ISSUER, exp: server.clock.now() + 60 }
    const payload = () => ({ ...claims, jti: `${Math.random()}` })
    await allRefused(t, {
      ...Object.fromEntries(
        ['none', 'None', 'NONE', 'nOnE', '', 'null'].flatMap((alg) => [
          [`alg ${alg}, signed`, make({ client: 'rsa', key: keys.RS256, header: { alg } })],
          [
            `alg ${alg}, with a made-up signature`,
            `${compact({ alg, kid: 'rs' }, payload(), '', 'none')}AAAA`,
          ],
        ]),
      ),
      ...Object.fromEntries(
        Object.entries(texts).map(([what, secret]) => [
          `HS256 with ${what}`,
          compact({ alg: 'HS256', kid: 'rs' }, payload(), secret as string),
        ]),
      ),
      'RS256 for an ES256 key': make({ key: keys.RS256, header: { kid: 'es' } }),
      'ES256 for an RS256 key': make({ client: 'rsa', key: keys.ES256, header: { kid: 'rs' } }),
      'PS256 for an RS256 key': compact({ alg: 'PS256', kid: 'rs' }, payload(), privateKey),
      'alg is a number': make({ header: { alg: 256 } }),
      'no alg': make({ header: { alg: undefined } }),
      'another client’s key': make({ client: 'other', key: keys.ES256 }),
    })
    await allRefused(t, { 'alg none without a signature': compact({ alg: 'none' }, payload(), '', 'none') })
  },
)

t.test(
  'header parameters select no other key and change no rule (RFC 8725 §3.10; docs/security.md B24)',
  async (t) => {
    const evil = clientKey('ES256', 'es')
    const evilJwk = evil.publicKey.export({ format: 'jwk' })
    const x5c = [evil.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')]
    const kids = [
      '../../x',
      "' OR 1=1--",
      '__proto__',
      'constructor',
      '\u0000',
      'es\u0000',
      'ES',
      'es ',
      '',
      'x'.repeat(3000),
    ]
    await allRefused(t, {
      'an embedded key': make({ key: evil, header: { jwk: evilJwk } }),
      'an embedded key without kid': make({ key: evil, header: { jwk: evilJwk, kid: undefined } }),
      jku: make({ key: evil, header: { jku: 'http://127.0.0.1:9/keys' } }),
      x5u: make({ key: evil, header: { x5u: 'http://127.0.0.1:9/cert' } }),
      x5c: make({ key: evil, header: { x5c } }),
      'an unknown critical parameter': make({ header: { crit: ['x'], x: 1 } }),
      'crit without the parameter': make({ header: { crit: ['exp'] } }),
      'empty crit': make({ header: { crit: [] } }),
      'crit is no list': make({ header: { crit: 'x' } }),
      'b64 false': make({ header: { b64: false } }),
      'b64 false and critical': make({ header: { b64: false, crit: ['b64'] } }),
      'b64 true': make({ header: { b64: true } }),
      ...Object.fromEntries(
        kids.map((kid) => [`kid ${encodeURIComponent(kid.slice(0, 20))}`, make({ header: { kid } })]),
      ),
    })
    const harmless = {
      jwk: evilJwk,
      jku: 'http://127.0.0.1:9/',
      x5u: 'http://127.0.0.1:9/',
      x5t: 'x',
      cty: 'x',
    }
    await accepted(t, make({ header: harmless }), 'ignored beside a valid signature')
  },
)

t.test(
  'only the compact JWS serialization is accepted, and never a JWE (RFC 7515 §3.1; docs/security.md B24)',
  async (t) => {
    const good = make()
    const [header = '', payload = '', signature = ''] = good.split('.')
    const json = { payload, signatures: [{ protected: header, signature }] }
    const object = (text: string) => `${header}.${base64url(text)}.${signature}`
    await allRefused(t, {
      'a part too many': `${good}.x`,
      'a JWE': `${base64url('{"alg":"dir","enc":"A256GCM","zip":"DEF"}')}..${payload}.${payload}.AAAA`,
      'a part too few': `${header}.${payload}`,
      'five parts': `${good}.x.y`,
      'an empty signature': `${header}.${payload}.`,
      'an empty payload': `${header}..${signature}`,
      'an empty header': `.${payload}.${signature}`,
      padding: `${good}=`,
      'trailing text': `${good}!`,
      'trailing line end': `${good}\n`,
      'a leading space': ` ${good}`,
      'a space inside': good.replace('.', ' .'),
      'standard base64': `${header}.${payload}.${Buffer.from(signature, 'base64url').toString('base64')}`,
      'JSON serialization': JSON.stringify(json),
      'flattened JSON': JSON.stringify({ payload, protected: header, signature }),
      'a changed signature': `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
      'a longer signature': `${good}AAAA`,
      'a shorter signature': good.slice(0, -4),
      'another header': `${base64url('{"alg":"ES256"}')}.${payload}.${signature}`,
      'a payload that is no JSON': object('x'),
      'a payload that is no object': object('[]'),
      'a payload that is null': object('null'),
      'a header that is no JSON': `${base64url('x')}.${payload}.${signature}`,
      'one dot': '.',
      'two dots': '..',
      'no dot': 'x',
      'a long one': `${header}.${base64url('x'.repeat(20_000))}.${signature}`,
    })
    await accepted(t, good, 'and the valid one is still accepted')
  },
)

t.test(
  'JWTs of other types are not accepted as client assertions (RFC 8725 §3.11; docs/security.md B25)',
  async (t) => {
    const kinds = [
      'at+jwt',
      'application/at+jwt',
      'AT+JWT',
      'logout+jwt',
      'dpop+jwt',
      'oauth-authz-req+jwt',
      'secevent+jwt',
      'statuslist+jwt',
      'token-introspection+jwt',
      'JWS',
      '',
      'application/',
      1,
      null,
      ['JWT'],
    ]
    const machine = (await clientCredentials(server)).json().access_token
    const userTokens = (await login(server)).json()
    await allRefused(t, {
      ...Object.fromEntries(kinds.map((typ) => [`typ ${JSON.stringify(typ)}`, make({ header: { typ } })])),
      'an access token of this server': machine,
      'an access token of a user': userTokens.access_token,
      'a refresh token of this server': userTokens.refresh_token,
    })
  },
)

t.test(
  'an access token whose claims all match is still rejected by its typ (RFC 8725 §3.11, §3.12; docs/security.md B25)',
  async (t) => {
    // The worst registration: a client named like the issuer, with the server’s own keys.
    const { keys: own } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
    await register(ISSUER, own, { scopes: [] })
    const now = server.clock.now()
    const key = await server.deps.signing.ring.signingKey(now + 60)
    const claims = { iss: ISSUER, sub: ISSUER, aud: ISSUER, jti: 'once', iat: now, exp: now + 60 }
    const asserted = await signCompact(key, 'JWT', JSON.stringify(claims))
    const answer = await present(asserted)
    t.equal(answer.statusCode, 200, 'the same claims are accepted in an assertion')
    const { access_token: token } = answer.json()
    t.match(claimsOf(token), { iss: ISSUER, sub: ISSUER, aud: ISSUER, client_id: ISSUER })
    await allRefused(t, { 'the access token': token })
  },
)
