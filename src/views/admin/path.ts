/** Where the console is, below the issuer. The server knows it before the console is loaded. */
export const CONSOLE_PATH = '/admin'
