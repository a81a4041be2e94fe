/** Parsing with any Standard Schema; what does not fit becomes INVALID_INPUT with its issues. */
import { fault } from '../base/errors.ts'
import type { Issue } from '../base/errors.ts'
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
