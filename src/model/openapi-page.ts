/** A page for people who read the API: every operation with its input and output, no script, no network. */
import type { OpenApi } from './openapi.ts'

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

const style = `
:root { color-scheme: light dark; --line: light-dark(#d8dce2, #383d45); --soft: light-dark(#f4f6f8, #1d2127); --text: light-dark(#1a1f26, #e6e9ed); --accent: light-dark(#0b5cad, #7ab8ff) }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: light-dark(#fff, #14171b) }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); font-size: 1.2rem }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0 } summary { padding: .6rem .8rem; cursor: pointer; overflow-wrap: anywhere }
summary:focus-visible { outline: 2px solid var(--accent) } details > div { padding: 0 .8rem .8rem }
code, pre { font: .875rem/1.45 ui-monospace, monospace } pre { background: var(--soft); padding: .7rem; overflow-x: auto; border-radius: .3rem }
.method { display: inline-block; min-width: 4.2em; font-weight: 600; color: var(--accent) } .note { opacity: .75; font-size: .875rem }`

export function openApiPage(document: OpenApi): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })))
  const byTag = Map.groupBy(operations, ({ operation }) => (operation.tags as string[])[0] ?? '')
  const sections = [...byTag].map(([tag, list]) => `<h2>${escape(tag)}</h2>${list.map(operationHtml).join('')}`).join('')
  const title = escape(document.info.title)
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title} API</title><style>${style}</style></head>`
    + `<body><main><h1>${title} API</h1><p class="note">Version ${escape(document.info.version)} · <a href="/openapi.json">OpenAPI 3.1 document</a></p>${sections}</main></body></html>`
}

function operationHtml({ path, method, operation }: { path: string; method: string; operation: Record<string, unknown> }): string {
  const block = (label: string, value: unknown) => value === undefined ? '' : `<h3>${label}</h3><pre>${escape(JSON.stringify(value, null, 2))}</pre>`
  const parameters = operation.parameters as unknown[]
  const summary = typeof operation.summary === 'string' ? `<p>${escape(operation.summary)}</p>` : ''
  const secured = operation.security ? ' <span class="note">(caller)</span>' : ''
  return `<details><summary><span class="method">${method.toUpperCase()}</span> <code>${escape(path)}</code>${secured} <span class="note">${escape(String(operation.operationId))}</span></summary>`
    + `<div>${summary}${block('Parameters', parameters.length > 0 ? parameters : undefined)}${block('Body', operation.requestBody)}${block('Answers', operation.responses)}</div></details>`
}
