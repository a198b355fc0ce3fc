/** Submits the page's form at once (OAuth 2.0 Form Post Response Mode). Without scripts the user presses the button. */
export const FORM_POST_SCRIPT = `'use strict'
{
  const form = document.querySelector('form[data-send]')
  // form.submit() is not used, because a field named "submit" would replace it.
  if (form) HTMLFormElement.prototype.submit.call(form)
}
`
