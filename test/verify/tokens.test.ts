/** What RFC 9068 §4 and RFC 8725 require of a verifier of access tokens, point by point. */
import { createPrivateKey, createPublicKey, type JsonWebKey, sign as signRaw } from 'node:crypto'
import { exportPKCS8, FlattenedSign, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import type { AlgorithmName } from '../../packages/verify/index.ts'
import { algorithms } from '../../src/keys/algorithms.ts'
import {
  AUDIENCE,
  base64url,
  fakeIssuer,
  goodClaims,
  JWKS,
  METADATA,
  signed,
  signingKey,
  verdict,
} from '../support/issuers/fake-issuer.ts'

/** Signs any bytes as header and payload with a valid signature. */
function handmade(header: string | Uint8Array, payload: string | Uint8Array, pkcs8: string): string {
  const input = `${base64url(header)}.${base64url(payload)}`
  return `${input}.${base64url(signRaw('sha256', Buffer.from(input), createPrivateKey(pkcs8)))}`
}

t.test('access tokens', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const { time, key } = issuer
  const pkcs8 = await exportPKCS8(key.private)
  const header = JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: key.kid })
  const claims = goodClaims(issuer.issuer, time.now())
  const is = async (t: Test, token: string | Promise<string>, code: string, comment = code) =>
    t.equal(await verdict(verifier, await token), code, comment)

  await t.test('a valid token gives its claims (RFC 9068 §4)', async (t) => {
    t.same(await verifier.verify(await issuer.token()), claims)
  })

  await t.test('the claims are deeply frozen, because requests share them', async (t) => {
    const token = await issuer.token({ deep: { list: [{ a: 1 }] } })
    for (const given of [await verifier.verify(token), await verifier.verify(token)]) {
      t.throws(() => Object.assign(given, { sub: 'root' }))
      t.throws(() => (given.roles as string[]).push('admin'))
      t.throws(() => Object.assign((given.deep as { list: object[] }).list[0] as object, { a: 2 }))
    }
  })

  await t.test(
    'typ must be at+jwt, with or without application/, in upper or lower case (RFC 9068 §4)',
    async (t) => {
      for (const typ of ['at+jwt', 'application/at+jwt', 'AT+JWT', 'Application/At+Jwt']) {
        await is(t, issuer.token({}, { typ }), 'accepted', typ)
      }
      for (const typ of [
        'JWT',
        'id_token+jwt',
        'statuslist+jwt',
        'at+jwt2',
        'text/at+jwt',
        '',
        undefined,
        5,
        ['at+jwt'],
      ]) {
        await is(t, issuer.token({}, { typ }), 'not_an_access_token', String(typ))
      }
    },
  )

  await t.test(
    'an ID token of the same issuer and audience is refused (RFC 8725 §3.12; docs/security.md H90)',
    async (t) => {
      const idToken = issuer.token({ nonce: 'n', client_id: undefined, jti: undefined }, { typ: 'JWT' })
      await is(t, idToken, 'not_an_access_token')
    },
  )

  await t.test(
    'the algorithm none is refused in every spelling, signed or not (RFC 9068 §4, RFC 8725 §3.1)',
    async (t) => {
      for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
        const start = `${base64url({ alg, typ: 'at+jwt', kid: key.kid })}.${base64url(claims)}`
        await is(t, `${start}.${base64url('x')}`, 'algorithm_refused', alg)
        await is(t, `${start}.`, 'malformed', `${alg}, without a signature`)
        await is(t, start, 'malformed', `${alg}, in two parts`)
      }
    },
  )

  await t.test(
    'HS256 with the public key as the secret is refused, in every form of the key (RFC 8725 §2.1, §3.2)',
    async (t) => {
      const publicKey = createPublicKey({ key: key.jwk as JsonWebKey, format: 'jwk' })
      const secrets = {
        'PEM, SPKI': publicKey.export({ type: 'spki', format: 'pem' }),
        'PEM, PKCS#1': publicKey.export({ type: 'pkcs1', format: 'pem' }),
        'DER, SPKI': publicKey.export({ type: 'spki', format: 'der' }),
        'DER, PKCS#1': publicKey.export({ type: 'pkcs1', format: 'der' }),
        JWK: JSON.stringify(key.jwk),
        n: key.jwk.n ?? '',
      }
      for (const [form, secret] of Object.entries(secrets)) {
        const token = new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: key.kid })
          .sign(Buffer.from(secret))
        await is(t, token, 'algorithm_refused', form)
      }
    },
  )

  await t.test(
    'an algorithm that is not accepted is refused, although key and signature are good (RFC 8725 §3.1)',
    async (t) => {
      for (const alg of [
        'PS256',
        'RS384',
        'ES256',
        'rs256',
        'RS256 ',
        undefined,
        5,
        null,
        ['RS256'],
        'toString',
        '__proto__',
      ]) {
        const token = handmade(
          JSON.stringify({ alg, typ: 'at+jwt', kid: key.kid }),
          JSON.stringify(claims),
          pkcs8,
        )
        await is(t, token, 'algorithm_refused', String(alg))
      }
    },
  )

  await t.test('no key is fetched for an algorithm that is not accepted', async (t) => {
    const before = issuer.requests.length
    time.tick(1)
    for (const alg of ['PS256', 'ES256', 'EdDSA']) {
      const head = JSON.stringify({ alg, typ: 'at+jwt', kid: 'made-up' })
      await is(t, handmade(head, JSON.stringify(claims), pkcs8), 'algorithm_refused', alg)
    }
    t.equal(issuer.requests.length, before)
  })

  await t.test(
    'a key is used with one algorithm, even if both are accepted (RFC 8725 §3.1; docs/security.md H93)',
    async (t) => {
      const both = issuer.verifier({ algorithms: ['PS256', 'RS256'] })
      t.equal(await verdict(both, await issuer.token()), 'accepted')
      const privateKey = createPrivateKey(pkcs8)
      const input = `${base64url({ alg: 'PS256', typ: 'at+jwt', kid: key.kid })}.${base64url(claims)}`
      const pss = signRaw('sha256', Buffer.from(input), { key: privateKey, padding: 6, saltLength: 32 })
      t.equal(await verdict(both, `${input}.${base64url(pss)}`), 'algorithm_refused')
    },
  )

  await t.test(
    'every algorithm that a ring of Keyturn can have works, and Ed25519, the newer name of EdDSA (RFC 9864)',
    async (t) => {
      for (const alg of [...Object.keys(algorithms), 'Ed25519'] as AlgorithmName[]) {
        const own = await signingKey(`key-${alg}`, alg)
        const other = await fakeIssuer(t, { key: own })
        const accepting = other.verifier({ algorithms: [alg] })
        const token = await other.token()
        t.equal(await verdict(accepting, token), 'accepted', alg)
        const parts = token.split('.')
        const wrong = [parts[0], base64url({ ...goodClaims(other.issuer, 0), exp: 9e9 }), parts[2]].join('.')
        t.equal(await verdict(accepting, wrong), 'bad_signature', alg)
      }
    },
  )

  await t.test('one changed bit in header, claims or signature is refused (RFC 9068 §4)', async (t) => {
    const good = await issuer.token()
    const [head = '', body = '', signature = ''] = good.split('.')
    const changed = Buffer.from(signature, 'base64url')
    changed[10] = (changed[10] ?? 0) ^ 1
    await is(t, `${head}.${body}.${base64url(changed)}`, 'bad_signature')
    await is(t, `${head}.${base64url({ ...claims, scope: 'admin' })}.${signature}`, 'bad_signature')
    const padded = base64url({ alg: 'RS256', typ: 'at+jwt', kid: key.kid, x: 1 })
    await is(t, `${padded}.${body}.${signature}`, 'bad_signature')
    await is(t, `${head}.${body}.${base64url('x')}`, 'bad_signature', 'too short')
    const another = await signingKey(key.kid)
    await is(t, issuer.token({}, {}, another), 'bad_signature', 'signed by another key with the same kid')
  })

  await t.test('a forged token is refused for its signature, before its claims are checked', async (t) => {
    const another = await signingKey(key.kid)
    for (const wrong of [{ iss: 'https://elsewhere.example' }, { aud: 'x' }, { exp: 1 }, { sub: 5 }]) {
      await is(t, issuer.token(wrong, {}, another), 'bad_signature')
    }
  })

  await t.test('iss must be exactly the issuer (RFC 9068 §4, RFC 8725 §3.8)', async (t) => {
    const { issuer: iss } = issuer
    for (const wrong of [
      `${iss}/`,
      iss.toUpperCase(),
      ` ${iss}`,
      `${iss}.evil.example`,
      '',
      undefined,
      null,
      [iss],
      { iss },
    ]) {
      await is(t, issuer.token({ iss: wrong }), 'wrong_issuer', String(wrong))
    }
  })

  await t.test(
    'aud must name this service, as a string or in a list (RFC 9068 §4, RFC 8725 §3.9)',
    async (t) => {
      for (const aud of [AUDIENCE, [AUDIENCE], ['https://other.example', AUDIENCE]]) {
        await is(t, issuer.token({ aud }), 'accepted', String(aud))
      }
      const wrong = [
        'https://other.example',
        `${AUDIENCE}/`,
        'https://orders.example.evil',
        ['x'],
        [],
        '',
        undefined,
        null,
        5,
      ]
      for (const aud of [...wrong, [AUDIENCE, 5], [[AUDIENCE]], { [AUDIENCE]: 1 }]) {
        await is(t, issuer.token({ aud }), 'wrong_audience', JSON.stringify(aud))
      }
    },
  )

  await t.test('a verifier with two audiences accepts tokens for either', async (t) => {
    const two = issuer.verifier({ audience: ['https://a.example', 'https://b.example'] })
    t.equal(await verdict(two, await issuer.token({ aud: 'https://b.example' })), 'accepted')
    t.equal(await verdict(two, await issuer.token({ aud: ['https://a.example'] })), 'accepted')
    t.equal(await verdict(two, await issuer.token()), 'wrong_audience')
  })

  await t.test('a token expires at exp plus the leeway (RFC 9068 §4; docs/security.md Q7)', async (t) => {
    const strict = issuer.verifier({ leeway: 0 })
    const at = (exp: number) => issuer.token({ exp: time.now() + exp })
    t.equal(await verdict(strict, await at(1)), 'accepted')
    t.equal(await verdict(strict, await at(0)), 'expired')
    t.equal(await verdict(verifier, await at(-29)), 'accepted', 'thirty seconds by default')
    t.equal(await verdict(verifier, await at(-30)), 'expired')
    t.equal(await verdict(strict, await at(0.5)), 'accepted', 'a time may have a fraction')
    t.equal(await verdict(strict, await at(-0.5)), 'expired')
  })

  await t.test(
    'nbf and iat must not be further in the future than the leeway (RFC 7519 §4.1.5)',
    async (t) => {
      const strict = issuer.verifier({ leeway: 0 })
      for (const name of ['nbf', 'iat']) {
        const at = (seconds: number) => issuer.token({ [name]: time.now() + seconds })
        t.equal(await verdict(strict, await at(0)), 'accepted', name)
        t.equal(await verdict(strict, await at(1)), 'not_yet_valid', name)
        t.equal(await verdict(verifier, await at(30)), 'accepted', name)
        t.equal(await verdict(verifier, await at(31)), 'not_yet_valid', name)
      }
    },
  )

  await t.test(
    'a required claim must be present and have the right type (RFC 9068 §2.2; docs/security.md H87)',
    async (t) => {
      const odd = [null, true, {}, [], [1]]
      const wrong: Record<string, unknown[]> = {
        exp: [undefined, '1900000000', '', ...odd],
        iat: [undefined, '1700000000', ...odd],
        sub: [undefined, '', 5, ...odd],
        client_id: [undefined, 5, ...odd],
        jti: [undefined, 5, ...odd],
      }
      for (const [name, values] of Object.entries(wrong)) {
        for (const value of values) {
          await is(t, issuer.token({ [name]: value }), 'bad_claims', `${name}: ${JSON.stringify(value)}`)
        }
      }
    },
  )

  await t.test('an optional claim must have the right type if it is present', async (t) => {
    const wrong: Record<string, unknown[]> = {
      nbf: [null, '1', true, {}, []],
      scope: [null, 5, true, {}, ['orders:read']],
      roles: [null, 'clerk', 5, {}, [1], ['clerk', null]],
      status: [null, 5, 'x', [], { status_list: 5 }, { status_list: { idx: -1, uri: 'x' } }],
    }
    for (const [name, values] of Object.entries(wrong)) {
      await is(t, issuer.token({ [name]: undefined }), 'accepted', `no ${name}`)
      for (const value of values) {
        await is(t, issuer.token({ [name]: value }), 'bad_claims', `${name}: ${JSON.stringify(value)}`)
      }
    }
  })

  await t.test('times that are not finite numbers are refused', async (t) => {
    const text = JSON.stringify(claims)
    for (const exp of ['1e999', '-1e999']) {
      const token = handmade(header, text.replace(/"exp":\d+/, `"exp":${exp}`), pkcs8)
      await is(t, token, 'bad_claims', exp)
    }
  })

  await t.test('a kid that is missing, malformed or too long is refused without a fetch', async (t) => {
    const before = issuer.requests.length
    const kids = [undefined, '', 5, null, ['key-1'], { kid: 'key-1' }, 'x'.repeat(513)]
    for (const kid of kids) await is(t, issuer.token({}, { kid }), 'unknown_key', JSON.stringify(kid))
    t.equal(issuer.requests.length, before)
  })

  await t.test(
    'a kid that looks like a path, a URL or a property is only a name (RFC 8725 §3.10)',
    async (t) => {
      const kids = [
        '__proto__',
        'constructor',
        '../../../etc/passwd',
        "' OR 1=1 --",
        'KEY-1',
        'key-1 ',
        'http://127.0.0.1/',
      ]
      for (const kid of kids) {
        time.tick(1)
        await is(t, issuer.token({}, { kid }), 'unknown_key', kid)
      }
      t.same(new Set(issuer.requests), new Set([METADATA, JWKS]), 'only the keys were fetched')
    },
  )

  await t.test(
    'crit and b64 are refused, whatever their value (RFC 7515 §4.1.11, RFC 7797 §6)',
    async (t) => {
      const text = JSON.stringify(claims)
      for (const more of [
        { crit: ['exp'], exp: 1 },
        { crit: ['b64'], b64: true },
        { crit: [] },
        { crit: null },
        { crit: 'x' },
      ]) {
        const head = JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: key.kid, ...more })
        await is(t, handmade(head, text, pkcs8), 'not_an_access_token', JSON.stringify(more))
      }
      const unencoded = await new FlattenedSign(Buffer.from('claims'))
        .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: key.kid, b64: false, crit: ['b64'] })
        .sign(key.private)
      await is(t, `${unencoded.protected}.claims.${unencoded.signature}`, 'not_an_access_token')
    },
  )

  await t.test(
    'keys in a token, and keys that it points to, are neither used nor fetched (RFC 8725 §3.10; docs/security.md H94)',
    async (t) => {
      const thief = await signingKey('thief')
      let requestCount = 0
      const trap = await fakeIssuer(t, { key: thief })
      const jku = trap.origin + JWKS
      for (const more of [
        { jwk: thief.jwk },
        { jku },
        { x5u: jku },
        { x5c: ['MIIB'] },
        { jwk: thief.jwk, jku, kid: key.kid },
      ]) {
        time.tick(1)
        const code = 'kid' in more ? 'bad_signature' : 'unknown_key'
        await is(t, issuer.token({}, more, thief), code, Object.keys(more).join())
      }
      requestCount += trap.requests.length
      t.equal(requestCount, 0)
      await is(
        t,
        issuer.token({}, { jku, x5u: jku, jwk: thief.jwk }),
        'accepted',
        'beside a good signature they mean nothing',
      )
    },
  )

  await t.test(
    'the last of duplicate members counts, as RFC 7519 §4 allows, and is refused if it is bad',
    async (t) => {
      const text = JSON.stringify(claims)
      await is(t, handmade(header, text.replace('{', '{"aud":"x",'), pkcs8), 'accepted')
      await is(t, handmade(header, text.replace(/}$/, ',"aud":"x"}'), pkcs8), 'wrong_audience')
      await is(t, handmade(header.replace(/}$/, ',"alg":"none"}'), text, pkcs8), 'algorithm_refused')
      await is(t, handmade(header.replace(/}$/, ',"typ":"JWT"}'), text, pkcs8), 'not_an_access_token')
    },
  )

  await t.test(
    'padding, other alphabets, line breaks and unused bits are refused, so that a token has one spelling (RFC 7515 §2)',
    async (t) => {
      const good = await issuer.token()
      const [head = '', body = '', signature = ''] = good.split('.')
      const others = [`${good}=`, `${good}==`, ` ${good}`, `${good}\n`, `${head}=.${body}.${signature}`]
      for (const token of others) await is(t, token, 'malformed', JSON.stringify(token.slice(-20)))
      // The signed text is checked before it is decoded.
      for (const more of ['\n', '=', ' ']) await is(t, `${head}.${body}${more}.${signature}`, 'bad_signature')
      const standard = Buffer.from(signature, 'base64url').toString('base64').replace(/=+$/, '')
      if (/[+/]/.test(standard))
        await is(t, `${head}.${body}.${standard}`, 'malformed', 'the standard alphabet')
      // 256 bytes leave four unused bits in the last character; an encoder sets them to 0.
      const last = signature.at(-1) ?? ''
      const spare = String.fromCharCode(last.charCodeAt(0) + 1)
      t.same(Buffer.from(signature, 'base64url'), Buffer.from(signature.slice(0, -1) + spare, 'base64url'))
      await is(t, good.slice(0, -1) + spare, 'malformed', 'unused bits')
      await is(t, `${good}AAA`, 'malformed', 'a length that no encoder produces')
    },
  )

  await t.test('characters that a decoder would read as others are refused', async (t) => {
    const good = await issuer.token()
    // U+0165 has 0x65, an "e", as its low byte.
    await is(t, good.replace('e', '\u0165'), 'malformed')
    await is(
      t,
      good.replace(/\.(.)/, (_, letter: string) => `.${String.fromCharCode(letter.charCodeAt(0) + 256)}`),
      'malformed',
    )
  })

  await t.test('only the 64 characters of base64url pass, in every part', async (t) => {
    const good = await issuer.token()
    const parts = [10, good.indexOf('.') + 10, good.lastIndexOf('.') + 10]
    const codes = [...Array(0x400).keys(), ...Array.from({ length: 500 }, (_, i) => 0x400 + i * 127)]
    const passed: string[] = []
    for (const at of parts) {
      for (const code of codes.filter((one) => !/[\w-]/.test(String.fromCharCode(one)))) {
        const letter = String.fromCharCode(code)
        for (const token of [
          good.slice(0, at) + letter + good.slice(at),
          good.slice(0, at) + letter + good.slice(at + 1),
        ]) {
          const given = await verdict(verifier, token)
          const inSigned = given === 'bad_signature' && at !== parts[2]
          if (given !== 'malformed' && !inSigned) passed.push(`${code} at ${at}: ${given}`)
        }
      }
    }
    t.same(passed, [])
  })

  await t.test('everything except three parts of base64url is refused', async (t) => {
    const good = await issuer.token()
    const [head, body, signature] = good.split('.')
    const others = [
      '',
      '.',
      '..',
      'a.b',
      'a.b.c.d',
      `${good}.`,
      `.${good}`,
      `${head}..${signature}`,
      `.${body}.${signature}`,
      `${good}.${head}.${body}`,
    ]
    for (const token of others) await is(t, token, 'malformed', token.slice(0, 20))
    for (const token of [undefined, null, 5, {}, [good]]) await is(t, token as unknown as string, 'malformed')
  })

  await t.test('the JSON serializations are refused (draft-ietf-oauth-rfc8725bis §3.14)', async (t) => {
    const [protectedHeader, payload, signature] = (await issuer.token()).split('.')
    await is(t, JSON.stringify({ protected: protectedHeader, payload, signature }), 'malformed')
    await is(
      t,
      JSON.stringify({ payload, signatures: [{ protected: protectedHeader, signature }] }),
      'malformed',
    )
  })

  await t.test('a header or claims that are not a JSON object are refused', async (t) => {
    for (const payload of [
      '',
      ' ',
      '5',
      'null',
      '"x"',
      '[]',
      '[{}]',
      '{',
      '{"a":1,}',
      "{'a':1}",
      'x',
      '{}{}',
      '\ufeff{}',
    ]) {
      const body = handmade(header, payload || ' ', pkcs8)
      await is(t, body, 'malformed', JSON.stringify(payload))
      await is(
        t,
        handmade(payload || ' ', JSON.stringify(claims), pkcs8),
        'malformed',
        JSON.stringify(payload),
      )
    }
  })

  await t.test('text that is not UTF-8 is refused and not repaired (RFC 8725 §3.7)', async (t) => {
    const text = JSON.stringify({ ...claims, sub: 'Zo\u00eb' })
    await is(t, handmade(header, Buffer.from(text, 'utf8'), pkcs8), 'accepted')
    await is(t, handmade(header, Buffer.from(text, 'latin1'), pkcs8), 'malformed', 'Latin-1')
    await is(t, handmade(header, Buffer.from(text, 'utf16le'), pkcs8), 'malformed', 'UTF-16')
    const overlong = Buffer.from(text.replace('\u00eb', '\xc0\xaf'), 'latin1')
    await is(t, handmade(header, overlong, pkcs8), 'malformed', 'an overlong form')
    const surrogate = Buffer.from(text.replace('\u00eb', '\xed\xa0\x80'), 'latin1')
    await is(t, handmade(header, surrogate, pkcs8), 'malformed', 'half a surrogate pair')
  })

  await t.test('a token of 1 MB is refused before it is parsed', async (t) => {
    const before = issuer.requests.length
    await is(t, issuer.token({ filler: 'x'.repeat(1_000_000) }), 'malformed')
    await is(t, 'a'.repeat(1_000_000), 'malformed')
    await is(
      t,
      `${base64url({ alg: 'RS256', typ: 'at+jwt', kid: 'new' })}.${'A'.repeat(1_000_000)}.AA`,
      'malformed',
    )
    t.equal(issuer.requests.length, before, 'and nothing is fetched')
    const long = issuer.verifier({ maxTokenLength: 2_000_000 })
    t.equal(
      await verdict(long, await issuer.token({ filler: 'x'.repeat(1_000_000) })),
      'accepted',
      'unless told so',
    )
  })

  await t.test('deeply nested JSON is either read or refused', async (t) => {
    const deep = `${'['.repeat(5800)}${']'.repeat(5800)}`
    const text = JSON.stringify(claims)
    await is(t, handmade(header, text.replace(/}$/, `,"deep":${deep}}`), pkcs8), 'accepted')
    await is(t, handmade(header.replace(/}$/, `,"deep":${deep}}`), text, pkcs8), 'accepted')
    await is(t, handmade(header, text.replace(/"aud":"[^"]*"/, `"aud":${deep}`), pkcs8), 'wrong_audience')
    await is(t, handmade(header, '['.repeat(8000), pkcs8), 'malformed')
  })

  await t.test('errors never repeat the token', async (t) => {
    const token = await issuer.token({}, {}, await signingKey(key.kid))
    const error = (await verifier.verify(token).catch((thrown) => thrown)) as Error
    for (const part of token.split('.')) t.notOk(String(error.message).includes(part))
  })

  await t.test('an encrypted token is refused (RFC 9068 §4)', async (t) => {
    const jwe = [
      '{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"at+jwt","kid":"key-1"}',
      'key',
      'iv',
      'text',
      'tag',
    ]
    await is(t, jwe.map((part) => base64url(part)).join('.'), 'malformed')
  })

  await t.test('a validly signed token that is not a JSON object is refused', async (t) => {
    await is(t, signed('just text', JSON.parse(header), key), 'malformed')
  })
})
