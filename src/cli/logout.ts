import { action, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { issuerOf } from './login.ts'

export const logoutCommand: CommandFactory = (context) =>
  examples(
    action('logout', 'end the session that login started at a server, and delete its tokens')
      .argument('[issuer]', 'issuer URL of the server; default: that of --server')
      .action((issuer: string | undefined, options: Json) => logout(context, issuer, options)),
    'logout https://auth.example',
  )

async function logout(context: Context, issuer: string | undefined, options: Json): Promise<void> {
  const server = issuerOf(context, issuer)
  const { signOut } = await import('./remote/sign-in.ts')
  const ended = await signOut(context.io, server)
  const text = ended ? `signed out of ${server}` : `you were not signed in at ${server}`
  context.print(options, { server, ended }, text)
}
