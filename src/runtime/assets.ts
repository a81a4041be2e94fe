/**
 * Static files: a folder that is read once, when the process starts, and served below a
 * prefix. `app.js.br` and `app.js.gz` beside `app.js` are its packed variants. A name with a
 * hash of the content in it may be kept for ever; any other is asked for again each time.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { lookup } from 'mrmime'
import { fault } from '../base/errors.ts'
import type { Assets } from '../model/app.ts'
import type { Mount } from '../ports/ingress.ts'
import { answerWith, reads, refuse } from './representation.ts'
import type { Representation } from './representation.ts'

/** Eight or more hexadecimal digits, or the eight letters and digits of esbuild, Rollup and Vite; a word is neither. */
const hashed = /[.-](?:(?=[a-f]*\d)[\da-f]{8,64}|(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{8})\.[a-z\d]+(?:\.map)?$/
const year = 'public, max-age=31536000, immutable'
const encodings = { br: '.br', gzip: '.gz' } as const
type Encoding = keyof typeof encodings | 'identity'

interface Variant { readonly file: string; readonly representation: Representation }
type Asset = Partial<Record<Encoding, Variant>> & { readonly identity: Variant }

export async function assetsMount(prefix: string, options: Assets): Promise<Mount> {
  const { folder, immutable = hashed } = options instanceof URL ? { folder: options } : options
  const assets = await readAssets(fileURLToPath(folder), immutable)
  return {
    prefix,
    handle(request, response) {
      if (reads(request, response)) void serve(assets, prefix, request, response).catch(() => refuse(response, 500))
    },
  }
}

async function serve(assets: ReadonlyMap<string, Asset>, prefix: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const asset = assets.get(nameOf(request.url!, prefix) ?? '')
  if (!asset) return refuse(response, 404)
  const { file, representation } = asset[encodingFor(request.headers['accept-encoding'], asset)]!
  await answerWith(request, response, representation, ({ offset, bytes }) => createReadStream(file, { start: offset, end: Math.max(offset, offset + bytes - 1) }))
}

/** The path below the prefix; a folder is its index.html. Only names that were found at the start are looked up. */
function nameOf(url: string, prefix: string): string | null {
  try {
    const name = decodeURIComponent(url.split('?', 1)[0]!.slice(prefix.length)).replace(/^\//, '')
    return name === '' || name.endsWith('/') ? `${name}index.html` : name
  } catch { return null }
}

/** What the client likes best of what there is; of equals the smaller. */
export function encodingFor(header: string | string[] | undefined, there: Partial<Record<Encoding, unknown>>): Encoding {
  const liked = new Map<string, number>()
  for (const one of String(header ?? '').toLowerCase().split(',')) {
    const [name, ...parameters] = one.split(';').map(part => part.trim())
    const quality = parameters.find(part => part.startsWith('q='))
    if (name) liked.set(name, quality === undefined ? 1 : Number(quality.slice(2)) || 0)
  }
  const like = (name: Encoding) => liked.get(name) ?? liked.get('*') ?? (name === 'identity' ? 0.001 : 0)
  let best: Encoding = 'identity'
  for (const name of ['gzip', 'br'] as const) if (there[name] && like(name) > 0 && like(name) >= like(best)) best = name
  return best
}

async function readAssets(folder: string, immutable: RegExp): Promise<Map<string, Asset>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => { throw fault('DECLARATION_FAULT', `assets are declared in the folder ${folder}, which does not exist; create it or take them out`) })
  const names = new Set(entries.filter(one => one.isFile()).map(one => path.relative(folder, path.join(one.parentPath, one.name)).split(path.sep).join('/')))
  const assets = new Map<string, Asset>()
  for (const name of [...names].sort()) {
    // Neither what begins with a dot, nor a packed variant of another file.
    if (name.split('/').some(part => part.startsWith('.')) || Object.values(encodings).some(end => name.endsWith(end) && names.has(name.slice(0, -end.length)))) continue
    const packed = (Object.keys(encodings) as (keyof typeof encodings)[]).filter(encoding => names.has(name + encodings[encoding]))
    const headers = {
      'cache-control': immutable.test(name) ? year : 'no-cache',
      'x-content-type-options': 'nosniff',
      ...(packed.length > 0 ? { vary: 'Accept-Encoding' } : {}),
    }
    const variant = (encoding: Encoding) => variantOf(path.join(folder, encoding === 'identity' ? name : name + encodings[encoding]), headers, typeOf(name), encoding)
    assets.set(name, { identity: await variant('identity'), ...Object.fromEntries(await Promise.all(packed.map(async one => [one, await variant(one)] as const))) })
  }
  return assets
}

async function variantOf(file: string, headers: Record<string, string>, type: string, encoding: Encoding): Promise<Variant> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) { hash.update(chunk); bytes += chunk.length }
  const bodyHeaders = { 'content-type': type, ...(encoding === 'identity' ? {} : { 'content-encoding': encoding }) }
  return { file, representation: { etag: `"${hash.digest('base64url').slice(0, 27)}"`, bytes, headers, bodyHeaders } }
}

function typeOf(name: string): string {
  const type = lookup(name) ?? 'application/octet-stream'
  return /^text\/|[/+](json|xml|javascript)$/.test(type) ? `${type}; charset=utf-8` : type
}
