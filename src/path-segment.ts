/**
 * Names that are part of a path. URL parsers resolve `.` and `..`, also percent-encoded, so a resource with such a name has no URL, and
 * a request for it would be for another resource (RFC 3986 §5.2.4). Must not know what has the name.
 */
export const isDotSegment = (name: string): boolean => name === '.' || name === '..'
