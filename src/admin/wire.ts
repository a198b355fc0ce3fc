/** Names that the HTTP API and its remote implementation share. */

/** `type` of a problem document begins with it (RFC 9457 §3.1.1). */
export const PROBLEM_TYPE = 'urn:keyturn:problem:'

/** Notes are in a header field, because the body is the resource. Each is percent-encoded; commas separate them. */
export const NOTES_HEADER = 'keyturn-notes'
