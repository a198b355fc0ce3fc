/** A Node.js that does nothing: the least that any server needs. Started by bench/footprint.ts. */
process.send?.({})
setInterval(() => {}, 2 ** 30)
process.once('SIGTERM', () => process.exit())
