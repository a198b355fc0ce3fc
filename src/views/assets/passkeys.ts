/** Runs in the browser after the WebAuthn library and completes the forms of `views/passkeys.ts`. */
export const PASSKEYS_SCRIPT = `'use strict'
for (const form of document.querySelectorAll('form[data-passkey]')) {
  const webauthn = globalThis.SimpleWebAuthnBrowser
  const { passkey: operation, cancelled, failed, unsupported, registered } = form.dataset
  const optionsJSON = JSON.parse(form.dataset.options)
  const ready = form.querySelector('[data-ready]')
  const errorElement = form.querySelector('[data-error]')
  const button = form.querySelector('button')
  let busy = false

  const showError = (text) => {
    errorElement.textContent = text
    errorElement.hidden = text === ''
  }

  const errorText = (error) => {
    if (error.name === 'NotAllowedError') return cancelled
    if (error.name === 'InvalidStateError') return registered
    return failed
  }

  const send = (credential) => {
    form.elements.namedItem('credential').value = JSON.stringify(credential)
    HTMLFormElement.prototype.submit.call(form)
  }

  const requestCredential = async () => {
    if (busy) return
    busy = true
    showError('')
    try {
      const credential = operation === 'create'
        ? await webauthn.startRegistration({ optionsJSON })
        : await webauthn.startAuthentication({ optionsJSON })
      send(credential)
    } catch (error) {
      busy = false
      if (error.name !== 'AbortError') showError(errorText(error))
    }
  }

  // The Enter key in a field also leads here. The browser validates the fields first.
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    requestCredential()
  })
  button.addEventListener('click', () => form.requestSubmit())
  // The user came back from the next page: the form may be submitted again, with a new credential.
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
          .then((credential) => {
            if (busy) return
            busy = true
            send(credential)
          })
          // The user did not ask for this, so a failure is not shown.
          .catch(() => {})
      })
    }
  } else if (operation === 'create') {
    showError(unsupported)
  }
}
`
