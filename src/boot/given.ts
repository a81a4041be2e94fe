/** What a topology takes from the environment. */
import { fault } from '../base/errors.ts'
import type { FromEnvironment } from '../topology/topology.ts'

export function given(value: string | FromEnvironment, what: string): string {
  if (typeof value === 'string') return value
  const found = process.env[value.env]
  if (!found) throw fault('USAGE', `the topology takes ${what} from the environment variable ${value.env}, which is not set`)
  return found
}
