/**
 * Distinguished names as text (RFC 4514), such as `CN=shop,O=Example`. Libraries read parts that they do not understand as something
 * else; for a name that says who a client is, such text must be an error. Pure.
 */

/** One attribute of a name: its type as an OID, and its value as text, or as the DER that a value with `#` stands for. */
export interface NameAttribute {
  readonly type: string
  readonly value: string | { readonly der: string }
}

/** The attributes of one RDN, of which usually there is one. Their order means nothing. */
export type Rdn = readonly NameAttribute[]

/** RFC 4514 §3, and the other types that authorities use. Names are case-insensitive. */
const TYPES: Readonly<Record<string, string>> = {
  cn: '2.5.4.3',
  sn: '2.5.4.4',
  serialnumber: '2.5.4.5',
  c: '2.5.4.6',
  l: '2.5.4.7',
  st: '2.5.4.8',
  street: '2.5.4.9',
  o: '2.5.4.10',
  ou: '2.5.4.11',
  title: '2.5.4.12',
  description: '2.5.4.13',
  businesscategory: '2.5.4.15',
  postalcode: '2.5.4.17',
  givenname: '2.5.4.42',
  dnqualifier: '2.5.4.46',
  pseudonym: '2.5.4.65',
  organizationidentifier: '2.5.4.97',
  uid: '0.9.2342.19200300.100.1.1',
  dc: '0.9.2342.19200300.100.1.25',
  emailaddress: '1.2.840.113549.1.9.1',
  jurisdictionl: '1.3.6.1.4.1.311.60.2.1.1',
  jurisdictionst: '1.3.6.1.4.1.311.60.2.1.2',
  jurisdictionc: '1.3.6.1.4.1.311.60.2.1.3',
}

const TYPE = /^ *(?:([A-Za-z][A-Za-z0-9-]*)|((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+)) *= */
const HEX_VALUE = /^#((?:[0-9A-Fa-f]{2})+) *(?=[,+]|$)/
/** §3: an escaped pair, or a character that needs no escape. */
const STRING_PART = /^(?:\\([0-9A-Fa-f]{2})|\\([ "#+,;<=>\\])|([^"+,;<>\\\p{Cc}]))/u

/**
 * The RDNs in the order of a certificate, which is the reverse of the text (§2.1). null if it is no such text, or names a type that is
 * not known.
 */
export function parseDistinguishedName(text: string): readonly Rdn[] | null {
  const rdns: NameAttribute[][] = [[]]
  let rest = text
  for (;;) {
    const attribute = takeAttribute(rest)
    if (!attribute) return null
    rdns.at(-1)?.push(attribute.found)
    rest = attribute.rest
    if (rest === '') return rdns.reverse()
    if (rest[0] === ',') rdns.push([])
    rest = rest.slice(1)
  }
}

interface Taken {
  readonly found: NameAttribute
  /** Empty, or begins with `,` or `+`. */
  readonly rest: string
}

function takeAttribute(text: string): Taken | null {
  const [prefix = '', name, oid] = TYPE.exec(text) ?? []
  const type =
    oid ?? (Object.hasOwn(TYPES, name?.toLowerCase() ?? '') ? TYPES[name?.toLowerCase() ?? ''] : undefined)
  if (type === undefined) return null
  const value = text.slice(prefix.length)
  const [hexText, hex] = HEX_VALUE.exec(value) ?? []
  if (hexText !== undefined && hex !== undefined)
    return { found: { type, value: { der: hex.toLowerCase() } }, rest: value.slice(hexText.length) }
  if (value.startsWith('#')) return null
  return takeString(type, value)
}

function takeString(type: string, text: string): Taken | null {
  const bytes: Buffer[] = []
  /** How many bytes are left if the spaces at the end, which separate and do not belong to the value, are taken away. */
  let kept = 0
  let length = 0
  let rest = text
  while (rest !== '' && rest[0] !== ',' && rest[0] !== '+') {
    const [part = '', pair, escaped, plain] = STRING_PART.exec(rest) ?? []
    if (part === '') return null
    const next = pair === undefined ? Buffer.from(escaped ?? plain ?? '', 'utf8') : Buffer.from(pair, 'hex')
    bytes.push(next)
    length += next.length
    if (plain !== ' ') kept = length
    rest = rest.slice(part.length)
  }
  try {
    const value = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Buffer.concat(bytes).subarray(0, kept),
    )
    return { found: { type, value }, rest }
  } catch {
    return null
  }
}
