/** Runs in the browser, after the library: completes the forms of `views/passkeys.ts`. */
export const PASSKEYS_SCRIPT = `'use strict'
for (const form of document.querySelectorAll('form[data-passkey]')) {
  const webauthn = globalThis.SimpleWebAuthnBrowser
  const { passkey: does, cancelled, failed, unsupported, known } = form.dataset
  const optionsJSON = JSON.parse(form.dataset.options)
  const ready = form.querySelector('[data-ready]')
  const said = form.querySelector('[data-said]')
  const button = form.querySelector('button')
  let busy = false

  const say = (text) => {
    said.textContent = text
    said.hidden = text === ''
  }

  const reason = (error) => {
    if (error.name === 'NotAllowedError') return cancelled
    if (error.name === 'InvalidStateError') return known
    return failed
  }

  const send = (credential) => {
    form.elements.namedItem('credential').value = JSON.stringify(credential)
    HTMLFormElement.prototype.submit.call(form)
  }

  const ask = async () => {
    if (busy) return
    busy = true
    say('')
    try {
      const answer = does === 'create'
        ? await webauthn.startRegistration({ optionsJSON })
        : await webauthn.startAuthentication({ optionsJSON })
      send(answer)
    } catch (error) {
      busy = false
      if (error.name !== 'AbortError') say(reason(error))
    }
  }

  // Also by the Enter key in a field; the browser's own checks come first.
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    ask()
  })
  button.addEventListener('click', () => form.requestSubmit())
  // Back from the next page: the answer in the form has been used.
  addEventListener('pageshow', (event) => {
    if (event.persisted) busy = false
  })

  if (webauthn && webauthn.browserSupportsWebAuthn()) {
    ready.hidden = false
    ready.querySelector('[autofocus]')?.focus()
    if ('autofill' in form.dataset) {
      webauthn.browserSupportsWebAuthnAutofill().then((supported) => {
        if (!supported || busy) return
        webauthn
          .startAuthentication({ optionsJSON, useBrowserAutofill: true })
          .then((answer) => {
            if (busy) return
            busy = true
            send(answer)
          })
          // Nobody has asked for it: that it came to nothing is no news.
          .catch(() => {})
      })
    }
  } else if (does === 'create') {
    say(unsupported)
  }
}
`
