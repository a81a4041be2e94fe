/**
 * Receives the file of an upload: its type is checked against the declaration and against
 * its own first bytes, then it is streamed into the blobs.
 *
 * Its key follows from caller, type and content under the deployment's secret: a retry with
 * the same idempotency key makes the same input, and nobody guesses an address.
 */
import { createHmac } from 'node:crypto'
import type { Readable } from 'node:stream'
import { fault } from '../base/errors.ts'
import type { Application } from '../model/app.ts'
import type { Command } from '../model/command.ts'
import { blobsPrefix } from '../model/manifest.ts'
import type { Acceptance, Upload } from '../model/upload.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { HttpRequest } from '../ports/ingress.ts'

/** What file-type wants to see. */
const sampleBytes = 4_100
/** Types without marks of their own that no browser runs, served as nothing else. */
const plainTypes = new Set(['text/plain', 'text/csv', 'application/json'])

export interface UploadRequest {
  readonly accepts: Acceptance
  readonly service: string
  readonly callerId: string
  readonly request: HttpRequest
}

export interface Uploads { receive(upload: UploadRequest): Promise<Upload> }

export async function createUploads(app: Application, blobs: Blobs, secret: Buffer): Promise<Uploads> {
  // Here and not above: many applications take no files.
  const { fileTypeFromBuffer, supportedMimeTypes } = await import('file-type')
  const isOfType = async (sample: Buffer, type: string): Promise<boolean> => {
    const found = await fileTypeFromBuffer(sample)
    return found ? found.mime === type : plainTypes.has(type) && !sample.includes(0)
  }
  for (const intent of app.intents.values()) {
    const { accepts } = (intent as Partial<Command>).definition ?? {}
    for (const type of intent.kind === 'command' ? accepts?.types ?? [] : []) {
      if (!supportedMimeTypes.has(type) && !plainTypes.has(type)) throw fault('DECLARATION_FAULT', `${intent.declaredAt}: ${intent.name} accepts '${type}', which cannot be told by its content; accept others, or receive it in a mount`)
    }
  }
  return {
    async receive({ accepts, service, callerId, request }) {
      const type = typeOf(request, accepts)
      const { sample, whole } = await sampled(bodyOf(request, accepts))
      if (sample.length === 0) throw fault('BAD_REQUEST', 'the file is empty')
      if (!await isOfType(sample, type)) throw fault('UNSUPPORTED_MEDIA_TYPE', `the content is not what its Content-Type says: ${type}`)
      const nameOf = (sha256: string) => createHmac('sha256', secret).update(`upload\n${callerId}\n${type}\n${sha256}`).digest('hex').slice(0, 40)
      const { key, bytes, etag } = await blobs.put(sha256 => `${service.toLowerCase()}/${nameOf(sha256)}`, whole, { type, bytesMax: accepts.bytesMax })
      return { key, url: `${blobsPrefix}/${key}`, type, bytes, etag }
    },
  }
}

function typeOf({ headers }: HttpRequest, { types, bytesMax }: Acceptance): string {
  const type = String(headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (!types.includes(type)) throw fault('UNSUPPORTED_MEDIA_TYPE', `'${type}' is not taken here; send ${types.join(', ')}`)
  if (Number(headers['content-length'] ?? 0) > bytesMax) throw fault('PAYLOAD_TOO_LARGE', `more than ${bytesMax} bytes`)
  return type
}

/** Ends with a refusal when the sender goes; leaves the connection alone when we do, so that the answer gets through. */
async function* bodyOf({ body }: HttpRequest, { bytesMax }: Acceptance): AsyncGenerator<Uint8Array> {
  if (body === undefined) return
  let bytes = 0
  try {
    for await (const chunk of (body as Readable).iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      if (bytes > bytesMax) break
      yield chunk
    }
  } catch (error) {
    throw fault('BAD_REQUEST', 'the body ended early', { cause: error })
  }
  if (bytes > bytesMax) throw fault('PAYLOAD_TOO_LARGE', `more than ${bytesMax} bytes`)
}

async function sampled(source: AsyncGenerator<Uint8Array>): Promise<{ sample: Buffer; whole: AsyncIterable<Uint8Array> }> {
  const first: Uint8Array[] = []
  for (let bytes = 0; bytes < sampleBytes;) {
    const { done, value } = await source.next()
    if (done) break
    first.push(value)
    bytes += value.length
  }
  const whole = (async function* () { yield* first; yield* source })()
  return { sample: Buffer.concat(first).subarray(0, sampleBytes), whole }
}
