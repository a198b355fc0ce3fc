// Sends each form with a header that other sites cannot set, and opens the page that the response names.
for (const form of document.forms) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const response = await fetch(form.action, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-csrf': '1' },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    }).catch(() => undefined)
    const { next, error = 'Something went wrong.' } = (await response?.json().catch(() => undefined)) ?? {}
    if (next) location.assign(next)
    else document.querySelector('#error').textContent = error
  })
}
