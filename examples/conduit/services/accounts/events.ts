/** Facts about accounts that other services keep read models of. */
import { Person } from '../../shapes.ts'
import { accounts } from './service.ts'

export const registered = accounts.event(Person)
export const changed = accounts.event(Person)
