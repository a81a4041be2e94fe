/** Parsing with any Standard Schema; what does not fit becomes INVALID_INPUT with its issues. */
import { isDeepStrictEqual } from 'node:util'
import { fault } from '../base/errors.ts'
import type { Issue } from '../base/errors.ts'
import type { JsonText } from '../base/json-text.ts'
import type { Declared, Kind, Schema } from '../model/intent.ts'

type Outcome = Awaited<ReturnType<Schema['~standard']['validate']>>

export function parse(schema: Schema, value: unknown): unknown | Promise<unknown> {
  const outcome = schema['~standard'].validate(value)
  return outcome instanceof Promise ? outcome.then(accept) : accept(outcome)
}

function accept(outcome: Outcome): unknown {
  if (!outcome.issues) return outcome.value
  const issues: Issue[] = outcome.issues.slice(0, 20).map(issue => ({
    message: issue.message,
    path: (issue.path ?? []).map(step => {
      const key = typeof step === 'object' ? step.key : step
      return typeof key === 'number' ? key : String(key)
    }),
  }))
  throw fault('INVALID_INPUT', issues.map(issue => `${issue.path.join('.') || 'input'}: ${issue.message}`).join('; '), { issues })
}

const made: Partial<Record<Kind, string>> = { query: 'output', command: 'output', event: 'payload' }

/** Parses what the program itself made: a misfit is a programming error and crashes loudly. */
export function parseOwn(schema: Schema, value: unknown, { kind, name }: Pick<Declared, 'kind' | 'name'>): unknown | Promise<unknown> {
  const misfit = (error: unknown): never => { throw new Error(`the ${made[kind] ?? 'input'} of ${name} does not fit its schema: ${(error as Error).message}`) }
  try {
    const parsed = parse(schema, value)
    return parsed instanceof Promise ? parsed.catch(misfit) : parsed
  } catch (error) { return misfit(error) }
}

const firstAll = 200
const thenEvery = 100

/** Checks of outputs that are texts: to parse each would cost what a text saves. All of the first, then one of a hundred. */
export class TextSamples {
  readonly #seen = new WeakMap<object, number>()

  check(output: JsonText, intent: Declared & { readonly definition: { readonly output: Schema } }): JsonText | Promise<JsonText> {
    const seen = (this.#seen.get(intent) ?? 0) + 1
    this.#seen.set(intent, seen)
    if (seen > firstAll && seen % thenEvery !== 0) return output
    const value = output.parse()
    const fits = (parsed: unknown): JsonText => {
      if (!isDeepStrictEqual(JSON.parse(JSON.stringify(parsed)), value)) throw new Error(`the output of ${intent.name} is a text that says other than its schema: it has fields too many, or values that the schema changes`)
      return output
    }
    const parsed = parseOwn(intent.definition.output, value, intent)
    return parsed instanceof Promise ? parsed.then(fits) : fits(parsed)
  }
}
