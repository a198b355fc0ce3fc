/** Sends the page's form at once (OAuth 2.0 Form Post Response Mode); without it there is the button. */
export const FORM_POST_SCRIPT = `'use strict'
{
  const form = document.querySelector('form[data-send]')
  // Not form.submit(): a field of that name would be in its way.
  if (form) HTMLFormElement.prototype.submit.call(form)
}
`
