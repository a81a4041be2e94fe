/**
 * An upload is a command whose body is a file. The runtime streams the file into the blobs
 * before the command runs; its input is what path and query say, and `upload`: where the
 * file went. The bytes never pass through the handler.
 */
import type { CommandContext } from './context.ts'
import type { AnyCommandDefinition, CommandDefinition } from './command.ts'
import type { Auth, Key, Parsed, Schema, HttpRoute, UserOf } from './intent.ts'

export interface Upload {
  readonly key: string
  /** Where it is served: `/blobs/<key>`. The same file of the same caller has the same address. */
  readonly url: string
  readonly type: string
  readonly bytes: number
  readonly etag: string
}

/** Which files a command takes. */
export interface Acceptance {
  /** Media types; the content must be what its type says. */
  readonly types: readonly string[]
  readonly bytesMax: number
}

type Nothing = Schema<Record<never, never>>

export interface UploadDefinition<Tables, I extends Schema, O extends Schema, A extends Auth> extends Omit<CommandDefinition<Tables, I, O, A>, 'http' | 'input' | 'key' | 'run'> {
  readonly http: HttpRoute
  readonly accepts: readonly string[]
  readonly bytesMax: number
  /** What path and query say besides. */
  readonly input?: I
  key(input: Parsed<I> & { readonly upload: Upload }, caller: { readonly user: UserOf<A> }): Key
  run(context: CommandContext<Tables, UserOf<A>>, input: Parsed<I> & { readonly upload: Upload }): ReturnType<CommandDefinition<Tables, I, O, A>['run']>
}

export type NoInput = Nothing

/** The command that an upload is. */
export function commandOf(definition: UploadDefinition<never, Schema, Schema, Auth>): AnyCommandDefinition {
  const { accepts, bytesMax, input, ...rest } = definition
  return { ...rest, input: withUpload(input), accepts: { types: accepts, bytesMax } } as AnyCommandDefinition
}

/** The schema of the rest, beside an upload that only the runtime can have made. */
function withUpload(rest: Schema | undefined): Schema {
  const inner = rest?.['~standard']
  return { '~standard': { ...inner, version: 1, vendor: 'tenfold', async validate(value) {
    const { upload, ...others } = value as { upload?: unknown }
    if (!isUpload(upload)) return { issues: [{ path: ['upload'], message: 'is no stored file' }] }
    const result = inner ? await inner.validate(others) : { value: {} }
    return result.issues ? result : { value: { ...result.value as object, upload } }
  } } }
}

function isUpload(value: unknown): value is Upload {
  const { key, url, type, bytes, etag } = (value ?? {}) as Partial<Upload>
  return [key, url, type, etag].every(one => typeof one === 'string') && typeof bytes === 'number'
}
