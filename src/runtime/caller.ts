/** Who a call comes from, as far as the intent wants to know. */
import { fault } from '../base/errors.ts'
import type { Command } from '../model/command.ts'
import type { Query } from '../model/query.ts'
import type { Call, Caller } from '../ports/transport.ts'

/** Null where the intent's auth is none; throws UNAUTHENTICATED where it needs a caller and there is none. */
export function callerOf(intent: Query | Command, call: Call): Caller | null {
  const { auth = 'none' } = intent.definition
  const { caller } = call.metadata
  if (auth === 'required' && !caller) throw fault('UNAUTHENTICATED')
  return auth === 'none' ? null : caller
}
