import { allow, at, browserWorld, resultAt, signIn } from '../support/browser-world.ts'
import { browserTest } from '../support/chromium.ts'

browserTest('somebody signs in, allows the app, and is back at it with tokens', async (t, open) => {
  const { app } = await browserWorld(t)
  const page = await (await open()).tab()
  await page.goto(app.start())
  await signIn(t, page)
  await allow(t, page)
  const result = await resultAt(page, app)
  t.match(result, {
    heading: 'Signed in',
    method: 'GET',
    user: { preferred_username: 'alice' },
    claims: { amr: ['pwd'] },
  })
  await at(t, page, 'Signed in')
})
