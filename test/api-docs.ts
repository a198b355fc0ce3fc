/** `npm run api-docs`: writes the documents of the administration API from its routes. */
import { writeFileSync } from 'node:fs'
import { DOCUMENT, documentText, PAGE, pageText } from './support/docs/admin-api-page.ts'

writeFileSync(DOCUMENT, documentText())
writeFileSync(PAGE, pageText())
