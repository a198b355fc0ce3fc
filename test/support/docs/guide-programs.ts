/** What the programs of docs/guides send to Keyturn, read from the files that the pages print. */
import { parse } from 'yaml'
import { commandLines } from './command-lines.ts'
import { codeBlocks, read } from './documents.ts'

/** A file of a guide: the block whose info is its name. */
export function fileOf(page: string, name: string): string {
  const found = codeBlocks(read(page)).find(({ info }) => info === name)
  if (!found) throw new Error(`${page} has no block ${name}`)
  return found.text
}

/** What the pattern captures in the text. */
export function captured(text: string, pattern: RegExp): string {
  const [, value] = pattern.exec(text) ?? []
  if (value === undefined) throw new Error(`${pattern} does not match`)
  return value
}

/** An application that signs users in, as its library asks for it. */
export interface GuideApplication {
  readonly page: string
  readonly clientId: string
  readonly redirectUri: string
  readonly scope: string
  readonly afterLogout: string
}

/** The client that the page registers for signing users in. */
function clientOf(page: string): string {
  const line = commandLines(read(page)).find((words) => words.includes('authorization_code')) ?? []
  return line[line.indexOf('--id') + 1] ?? ''
}

/** Auth.js: the redirect URI ends with the id of the provider, and the scope is the default of the library. */
function nextJs(): GuideApplication {
  const page = 'docs/guides/nextjs.md'
  const origin = captured(read(page), /AUTH_URL=(http[^"]+)"/)
  const provider = captured(fileOf(page, 'auth.js'), /id: '(\w+)'/)
  return {
    page,
    clientId: clientOf(page),
    redirectUri: `${origin}/api/auth/callback/${provider}`,
    scope: 'openid profile email',
    afterLogout: captured(fileOf(page, 'app/page.js'), /post_logout_redirect_uri: '([^']+)'/),
  }
}

export interface SpringSettings {
  readonly resourceserver: { readonly jwt: { readonly 'issuer-uri': string; readonly audiences: string } }
  readonly client: {
    readonly registration: Readonly<Record<string, { readonly scope: string }>>
  }
}

const SPRING = 'docs/guides/spring-boot.md'
export const springSettings = (): SpringSettings =>
  parse(fileOf(SPRING, 'src/main/resources/application.yaml')).spring.security.oauth2

/** Spring Boot: the redirect URI ends with the name of the registration, on the default port. */
function springBoot(): GuideApplication {
  const [[name, { scope }] = ['', { scope: '' }]] = Object.entries(springSettings().client.registration)
  const origin = captured(read(SPRING), /Open <(http[^>]+)>/)
  const program = fileOf(SPRING, 'src/main/java/shop/ShopApplication.java')
  return {
    page: SPRING,
    clientId: clientOf(SPRING),
    redirectUri: `${origin}/login/oauth2/code/${name}`,
    scope: scope.replaceAll(',', ''),
    afterLogout: captured(program, /setPostLogoutRedirectUri\("([^"]+)"\)/).replace('{baseUrl}', origin),
  }
}

/** mozilla-django-oidc: its URLs are below the path at which urls.py includes them. */
function django(): GuideApplication {
  const page = 'docs/guides/django.md'
  const origin = captured(read(page), /Open <(http[^>]+)>/)
  const mount = captured(fileOf(page, 'shop/urls.py'), /path\("(\S+)", include\("mozilla_django_oidc/)
  const home = captured(fileOf(page, 'shop/users.py'), /build_absolute_uri\("([^"]+)"\)/)
  return {
    page,
    clientId: clientOf(page),
    redirectUri: `${origin}/${mount}callback/`,
    scope: captured(fileOf(page, 'settings'), /OIDC_RP_SCOPES = "([^"]+)"/),
    afterLogout: `${origin}${home}`,
  }
}

export const guideApplications = (): GuideApplication[] => [nextJs(), springBoot(), django()]

/** The paths of Keyturn that the files of a guide name, whatever the language calls the issuer. */
export const keyturnPaths = (page: string): string[] =>
  codeBlocks(read(page)).flatMap(({ text }) =>
    [...text.matchAll(/(?:http:\/\/localhost:3000|\{(?:settings\.)?(?:KEYTURN|ISSUER)\})(\/[\w/.-]+)/g)].map(
      ([, path = '']) => path,
    ),
  )
