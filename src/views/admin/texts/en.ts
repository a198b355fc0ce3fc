/** Every English text of the console. Its type is the list of texts that each language must have. */
import { type Content, type Html, html } from '../../html.ts'
import * as people from './en-people.ts'
import * as registry from './en-registry.ts'
import * as ring from './en-ring.ts'

export const en = {
  ...people,
  ...ring,
  ...registry,
  title: 'Administration',
  navigation: 'Administration',
  account: 'Your account',
  places: {
    overview: 'Overview',
    keys: 'Keys',
    clients: 'Clients',
    apis: 'APIs',
    roles: 'Roles',
    users: 'Users',
    sessions: 'Sessions',
    audit: 'Audit log',
  },
  common: {
    search: 'Search',
    searchFor: (what: string): string => `Search ${what}`,
    clearSearch: 'Show all',
    nothing: 'There is nothing here yet.',
    nothingFound: 'Nothing was found.',
    next: 'Next page',
    first: 'First page',
    cancel: 'Cancel',
    change: 'Change',
    save: 'Save',
    create: 'Create',
    delete: 'Delete',
    yes: 'yes',
    no: 'no',
    none: 'none',
    never: 'never',
    created: 'Created',
    name: 'Name',
    onePerLine: 'One per line',
    allowUnowned: 'Also accept scopes that no API has',
    force: 'Do it even if it locks administrators out',
    follows: 'Consequences',
    shownOnce: 'This is shown only once. Copy it now.',
  },
  changed: {
    title: (what: Content): Html => html`${what} was changed in the meantime`,
    text: 'Another administrator saved a change first. None of your changes were stored. Compare them, and save again if you still want to.',
    field: 'What',
    before: 'When you opened the page',
    now: 'Now',
    caption: 'Changes by others',
  },
  refused: {
    title: 'You are not an administrator',
    text: (role: Content): Html =>
      html`Only users with the role ${role} may see these pages. Ask an administrator if you need it.`,
    factorTitle: 'Set up a second factor first',
    factorText:
      'Administrators need a second factor to sign in. Set one up now; then open the administration again.',
    setUpApp: 'Set up an authenticator app',
    setUpPasskey: 'Add a passkey',
    missing: 'This does not exist',
    missingText: 'It may have been deleted in the meantime.',
    failed: 'Nothing was changed',
  },
  roles: {
    intro: 'A role is a named set of scopes. Users have what their roles grant.',
    new: 'New role',
    newTitle: 'Create a role',
    changeTitle: (name: string): string => `Change the role ${name}`,
    scopes: 'Scopes',
    secondFactor: 'Second factor',
    required: 'required',
    requireSecondFactor: 'Users with this role must sign in with a second factor',
    changeHint: 'A change takes effect with the next token of each user.',
    users: 'Users with this role',
    builtIn: 'This role is built in and cannot be changed.',
    deleteTitle: (name: string): string => `Delete the role ${name}?`,
    deleteText: 'Its users lose the scopes that it grants.',
    done: {
      created: (name: Content): Html => html`The role ${name} was created.`,
      changed: (name: Content): Html => html`The role ${name} was changed.`,
      deleted: (name: Content): Html => html`The role ${name} was deleted.`,
    },
  },
}

export type ConsoleTexts = typeof en
