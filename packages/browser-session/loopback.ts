/** Whether a hostname, as `URL` writes it, is this machine. Only then is plain http accepted. */
export function isLoopback(hostname: string): boolean {
  return /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}
