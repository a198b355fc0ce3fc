/**
 * The variables that Kubernetes sets in every pod for each service of its namespace. For a service named `keyturn`, or with a name
 * that begins with `keyturn-`, they have the prefix of settings (Kubernetes documentation, "Environment variables" of a Service). Must not
 * know any setting.
 */

const PORT_URL = /^(?:tcp|udp|sctp):\/\//

/** Names and values: a name alone may be the name of a setting, such as `KEYTURN_PORT` or `KEYTURN_METRICS_PORT`. */
const PATTERNS: readonly (readonly [name: RegExp, value: RegExp])[] = [
  [/^KEYTURN_(?:\w+_)?SERVICE_HOST$/, /^[0-9a-f.:]+$/i],
  [/^KEYTURN_(?:\w+_)?SERVICE_PORT(?:_\w+)?$/, /^\d+$/],
  [/^KEYTURN_(?:\w+_)?PORT$/, PORT_URL],
  [/^KEYTURN_(?:\w+_)?PORT_\d+_(?:TCP|UDP|SCTP)$/, PORT_URL],
  [/^KEYTURN_(?:\w+_)?PORT_\d+_(?:TCP|UDP|SCTP)_PROTO$/, /^(?:tcp|udp|sctp)$/],
  [/^KEYTURN_(?:\w+_)?PORT_\d+_(?:TCP|UDP|SCTP)_PORT$/, /^\d+$/],
  [/^KEYTURN_(?:\w+_)?PORT_\d+_(?:TCP|UDP|SCTP)_ADDR$/, /^[0-9a-f.:]+$/i],
]

/** The names of the variables that describe a service and are not settings. */
export function serviceVariables(env: NodeJS.Dict<string>): string[] {
  return Object.entries(env).flatMap(([name, value = '']) =>
    PATTERNS.some(([names, values]) => names.test(name) && values.test(value)) ? [name] : [],
  )
}
