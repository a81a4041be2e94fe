/**
 * The console: the files that `npm run console` has built from the folder console, read once.
 * Nothing but these files runs in it: no inline script or style, no other origin, no frame.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Content } from './route.ts'
import type { AdminRoute } from './route.ts'

const folder = fileURLToPath(new URL('./page/', import.meta.url))
const types: Readonly<Record<string, string>> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' }

export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    `default-src 'none'`, `script-src 'self'`, `style-src 'self'`, `img-src 'self' data:`, `connect-src 'self'`,
    `base-uri 'none'`, `form-action 'none'`, `frame-ancestors 'none'`,
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

/** One route per file. Their names carry a hash of what is in them, but for the document and what it names plainly. */
export function pageRoutes(): AdminRoute[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => path.extname(name) in types).map((name): AdminRoute => {
    const body = readFileSync(path.join(folder, name))
    const [place, type] = [name.replaceAll(path.sep, '/'), types[path.extname(name)]!]
    const headers = { 'content-type': type, 'cache-control': place.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache' }
    return { method: 'GET', path: place === 'index.html' ? '/' : `/${place}`, open: true, answer: () => new Content(body, headers) }
  })
}
