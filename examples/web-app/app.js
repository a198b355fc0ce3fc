// Sends each form with a header that no other site can set, and goes where the answer says.
for (const form of document.forms) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const answer = await fetch(form.action, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-csrf': '1' },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    }).catch(() => undefined)
    const { next, trouble = 'That did not work.' } = (await answer?.json().catch(() => undefined)) ?? {}
    if (next) location.assign(next)
    else document.querySelector('#trouble').textContent = trouble
  })
}
