import { Command } from 'commander'
import { type DeleteOptions, yesOption } from './confirm.ts'
import { action, type CommandFactory, collect, examples, type Json } from './context.ts'
import {
  addRole,
  type CreateOptions,
  create,
  type ForceOptions,
  type InviteOptions,
  invite,
  list,
  type PasswordOptions,
  type ProfileOptions,
  remove,
  removeRole,
  rename,
  resetLink,
  resetSecondFactor,
  setDisabled,
  setPassword,
  show,
  update,
} from './user-actions.ts'

const FORCE = 'do it even if the user is the last administrator'
const PASSWORD_STDIN = 'read the password from standard input instead of prompting'

export const usersCommand: CommandFactory = (context) => {
  const userCommand = (
    name: string,
    description: string,
    work: (name: string, options: Json) => Promise<void>,
  ) => examples(action(name, description).argument('<username>').action(work), `users ${name} alice`)

  return new Command('users')
    .description('manage user accounts')
    .addCommand(
      examples(
        newAccount(action('create', 'create an account'))
          .option('--password-stdin', PASSWORD_STDIN)
          .action((username: string, options: CreateOptions) => create(context, username, options)),
        'users create alice --email alice@example.com --role clerk --password-stdin < password.txt',
        'users create bob',
      ),
    )
    .addCommand(
      examples(
        newAccount(
          action(
            'invite',
            'create a link with which a user can set the first password, and the account if there is none',
          ),
        ).action((username: string, options: InviteOptions) => invite(context, username, options)),
        'users invite alice --email alice@example.com --role clerk',
        'users invite alice',
      ),
    )
    .addCommand(
      userCommand(
        'reset-link',
        'create a link with which a user who forgot the password can set a new one',
        (name, options) => resetLink(context, name, options),
      ),
    )
    .addCommand(
      examples(
        action('rename', 'give a user another username; sessions continue')
          .argument('<username>')
          .argument('<new-username>')
          .action((username: string, newName: string, options: Json) =>
            rename(context, username, newName, options),
          ),
        'users rename alice alice.miller',
      ),
    )
    .addCommand(
      examples(
        yesOption(
          action('delete', 'delete an account and everything stored about its user, and sign the user out')
            .argument('<username>')
            .option('--force', FORCE),
        ).action((username: string, options: DeleteOptions & ForceOptions) =>
          remove(context, username, options),
        ),
        'users delete alice',
        'users delete alice --yes',
      ),
    )
    .addCommand(
      examples(
        action('update', 'change the profile of a user')
          .argument('<username>')
          .option('--name <name>', 'full name; "" removes it')
          .option('--given-name <name>', 'given name; "" removes it')
          .option('--family-name <name>', 'family name; "" removes it')
          .option('--locale <tag>', 'language, such as en or de-CH (BCP 47); "" removes it')
          .option('--zoneinfo <zone>', 'time zone, such as Europe/Berlin (IANA); "" removes it')
          .option(
            '--email <address>',
            'email address, unverified unless --email-verified is given; "" removes it',
          )
          .option('--email-verified', 'mark the email address as verified')
          .option('--no-email-verified', 'mark the email address as not verified')
          .action((username: string, options: ProfileOptions) => update(context, username, options)),
        'users update alice --name "Alice Miller"',
        'users update alice --email alice@example.com --email-verified',
      ),
    )
    .addCommand(
      examples(
        action('list', 'list all users').action((options: Json) => list(context, options)),
        'users list',
      ),
    )
    .addCommand(userCommand('show', 'show a user', (name, options) => show(context, name, options)))
    .addCommand(
      examples(
        action('set-password', 'set a new password, and sign the user out everywhere')
          .argument('<username>')
          .option('--password-stdin', PASSWORD_STDIN)
          .action((username: string, options: PasswordOptions) => setPassword(context, username, options)),
        'users set-password alice',
        'users set-password alice --password-stdin < password.txt',
      ),
    )
    .addCommand(
      userCommand('disable', 'disable an account, and sign the user out everywhere', (name, options) =>
        setDisabled(context, name, 'disable', options),
      ).option('--force', FORCE),
    )
    .addCommand(
      userCommand('enable', 're-enable a disabled account', (name, options) =>
        setDisabled(context, name, 'enable', options),
      ),
    )
    .addCommand(
      userCommand(
        'reset-second-factor',
        'remove the authenticator app, passkeys and recovery codes of a user who lost them',
        (name, options) => resetSecondFactor(context, name, options),
      ),
    )
    .addCommand(
      examples(
        action('add-role', 'give a user a role, from the next token on')
          .argument('<username>')
          .argument('<role>')
          .action((username: string, role: string, options: Json) =>
            addRole(context, username, role, options),
          ),
        'users add-role alice clerk',
      ),
    )
    .addCommand(
      examples(
        action('remove-role', 'remove a role from a user, from the next token on')
          .argument('<username>')
          .argument('<role>')
          .option('--force', FORCE)
          .action((username: string, role: string, options: ForceOptions) =>
            removeRole(context, username, role, options),
          ),
        'users remove-role alice clerk',
      ),
    )
}

const newAccount = (command: Command): Command =>
  command
    .argument('<username>')
    .option('--name <name>', 'full name')
    .option('--given-name <name>', 'given name')
    .option('--family-name <name>', 'family name')
    .option('--locale <tag>', 'language, such as en or de-CH (BCP 47)')
    .option('--zoneinfo <zone>', 'time zone, such as Europe/Berlin (IANA)')
    .option('--email <address>', 'email address; Keyturn sends no mail')
    .option('--email-verified', 'mark the email address as verified')
    .option('--role <role>', 'role of the user; repeatable', collect)
