/** Accounts: who somebody is and how they prove it. Emails and usernames are claimed, so that they are unique in every bucket. */
import { service } from 'tenfold'

export interface AccountRow {
  readonly id: string
  readonly email: string
  readonly username: string
  readonly password: string
  readonly bio: string | null
  readonly image: string | null
}

export const accounts = service('accounts', { migrations: new URL('./migrations/', import.meta.url) })
  .tables<{ account: AccountRow }>()
