import { Command, Option } from 'commander'
import { allOf } from '../admin/page.ts'
import {
  type ClientOptions,
  clientOptions,
  memberOptions,
  noClaimsInIdToken,
  resetOptions,
} from './client-options.ts'
import { printClient } from './client-view.ts'
import { type CreateOptions, createClient, type ForceOption, updateClient } from './clients-register.ts'
import { type RotateOptions, rotateSecret, secretsCommand } from './clients-secrets.ts'
import { confirmDelete, type DeleteOptions, yesOption } from './confirm.ts'
import {
  action,
  type CommandFactory,
  type Context,
  durationOption,
  examples,
  fileName,
  type Json,
} from './context.ts'
import { table } from './output.ts'

const FORCE = 'do it even if the client is the one that runs this command'

export const clientsCommand: CommandFactory = (context) =>
  new Command('clients')
    .description('manage the applications that may request tokens')
    .addCommand(
      examples(
        noClaimsInIdToken(
          clientOptions(
            action('create', 'register a client; its secret is shown once')
              .requiredOption('--name <name>', 'display name')
              .option('--id <id>', 'client_id (default: random)'),
          ),
        )
          .option(
            '--env <file>',
            'write CLIENT_ID and CLIENT_SECRET to a new file that only you can read',
            fileName,
          )
          .action((options: CreateOptions) => createClient(context, options)),
        'clients create --name "Order robot" --grant client_credentials --scope "orders:read orders:write"',
        'clients create --name Shop --id shop --grant "authorization_code refresh_token" --scope "openid orders:read" --redirect-uri https://shop.example/callback',
        'clients create --name Web --grant client_credentials --env web.env',
        'clients create --name Billing --grant client_credentials --jwks-file billing.jwks.json',
        'clients create --name "Orders API" --introspects https://orders.example',
      ),
    )
    .addCommand(
      examples(
        action('list', 'list all clients').action((options: Json) => list(context, options)),
        'clients list',
      ),
    )
    .addCommand(
      examples(
        action('show', 'show a client')
          .argument('<id>')
          .action((id: string, options: Json) => show(context, id, options)),
        'clients show shop --json',
      ),
    )
    .addCommand(
      examples(
        memberOptions(
          resetOptions(
            clientOptions(
              action('update', 'change the given properties; a given list replaces the old one')
                .argument('<id>')
                .option('--name <name>', 'display name'),
            ),
          ),
        )
          .option('--force', FORCE)
          .action((id: string, options: ClientOptions & ForceOption) => updateClient(context, id, options)),
        'clients update shop --scope "orders:read orders:write"',
        'clients update shop --add-scope orders:cancel --remove-redirect-uri https://old.example/callback',
        'clients update shop --access-token-ttl 5m',
      ),
    )
    .addCommand(
      examples(
        action('rotate-secret', 'replace the secret; the old one becomes invalid at once, or after --overlap')
          .argument('<id>')
          .option('--secret-stdin', 'read the secret from standard input instead of generating one')
          .addOption(
            new Option(
              '--overlap <duration>',
              'how long the old secret is still accepted, such as 24h',
            ).argParser(durationOption('1s', '90d')),
          )
          .action((id: string, options: RotateOptions) => rotateSecret(context, id, options)),
        'clients rotate-secret shop',
        'clients rotate-secret shop --overlap 24h',
      ),
    )
    .addCommand(secretsCommand(context))
    .addCommand(
      examples(
        forceOption(action('disable', 'refuse all requests of a client and end its sessions'))
          .argument('<id>')
          .action((id: string, options: ForceOption) => setDisabled(context, id, true, options)),
        'clients disable shop',
      ),
    )
    .addCommand(
      examples(
        action('enable', 're-enable a disabled client')
          .argument('<id>')
          .action((id: string, options: Json) => setDisabled(context, id, false, options)),
        'clients enable shop',
      ),
    )
    .addCommand(
      examples(
        forceOption(yesOption(action('delete', 'delete a client and its sessions')))
          .argument('<id>')
          .action((id: string, options: DeleteOptions & ForceOption) => remove(context, id, options)),
        'clients delete shop',
      ),
    )

const forceOption = (command: Command): Command => command.option('--force', FORCE)

function list(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const clients = await allOf(admin.clients.list)
    const rows = clients.map((client) => [
      client.client_id,
      client.client_name,
      client.token_endpoint_auth_method,
      client.grant_types.join(' '),
      client.scope,
      client.disabled ? 'disabled' : 'enabled',
    ])
    const text = table(['CLIENT ID', 'NAME', 'AUTHENTICATION', 'GRANTS', 'SCOPES', 'STATE'], rows)
    context.print(options, clients, text)
  })
}

function show(context: Context, id: string, options: Json): Promise<void> {
  return context.withAdmin(async ({ clients }) =>
    printClient(context, options, (await clients.find(id)).value),
  )
}

function setDisabled(context: Context, id: string, disabled: boolean, options: ForceOption): Promise<void> {
  return context.withAdmin(async ({ clients }) => {
    const outcome = disabled ? await clients.disable(id, { force: options.force }) : await clients.enable(id)
    context.print(options, context.changed(outcome), `${disabled ? 'disabled' : 'enabled'} ${id}`)
  })
}

function remove(context: Context, id: string, options: DeleteOptions & ForceOption): Promise<void> {
  return context.withAdmin(async ({ clients }) => {
    const { client_name: name } = (await clients.find(id)).value
    await confirmDelete(context, options, `Delete the client ${id} (${name})? Its sessions end.`)
    context.print(
      options,
      context.changed(await clients.delete(id, { force: options.force })),
      `deleted ${id}`,
    )
  })
}
