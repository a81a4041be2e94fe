/** Request bodies: read up to a limit, UTF-8 for certain, JSON that is neither too deep nor able to touch a prototype. */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { parse } from 'secure-json-parse'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'

export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return (length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined
}

const jsonType = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i

/** Throws for what need not be read: a body that is not JSON, or says that it is too large. */
export function assertReadable({ headers }: IncomingMessage, bytesMax: number): void {
  const type = headers['content-type']
  if (type !== 'application/json' && !(type && jsonType.test(type))) throw fault('UNSUPPORTED_MEDIA_TYPE', `${type ? `'${type}'` : 'a body without a Content-Type'} is not accepted; send application/json`)
  if (Number(headers['content-length']) > bytesMax) throw tooLarge(bytesMax)
}

export const tooLarge = (bytesMax: number) => fault('PAYLOAD_TOO_LARGE', `the body is larger than ${bytesMax} bytes`)

/** Reads the body; `done` gets its bytes, or null when it grew too large. Nothing is called when the client went away. */
export function readBytes(request: IncomingMessage, bytesMax: number, done: (bytes: Buffer | null) => void): void {
  let first: Buffer | undefined
  let chunks: Buffer[] | undefined
  let size = 0
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > bytesMax) {
      // What still comes is thrown away, so that the client gets to see the answer.
      if (size - chunk.length <= bytesMax) done(null)
    } else if (first === undefined) first = chunk
    else (chunks ??= [first]).push(chunk)
  })
  request.on('end', () => { if (size <= bytesMax) done(chunks ? Buffer.concat(chunks, size) : first ?? empty) })
}

const empty = Buffer.alloc(0)

/** A body as a JSON value; undefined when it is empty. */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw fault('BAD_REQUEST', 'the body is not valid UTF-8')
  const text = bytes.toString()
  if (text.trim() === '') return undefined
  // Whatever nests deeper than n levels has more than 2n characters.
  if (text.length > 2 * limits.jsonDepthMax && depthOf(text) > limits.jsonDepthMax) throw fault('BAD_REQUEST', `the JSON is nested deeper than ${limits.jsonDepthMax} levels`)
  try {
    return parse(text, null, { protoAction: 'error', constructorAction: 'error' })
  } catch (error) {
    throw fault('BAD_REQUEST', `the body is not acceptable JSON: ${(error as Error).message}`, { cause: error })
  }
}

/** How deep brackets nest, outside of strings; never less than the true depth of valid JSON. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inString) {
      if (code === 0x5c) at++
      else if (code === 0x22) inString = false
    } else if (code === 0x22) inString = true
    else if (code === 0x7b || code === 0x5b) { if (++depth > deepest) deepest = depth } else if (code === 0x7d || code === 0x5d) depth--
  }
  return deepest
}
