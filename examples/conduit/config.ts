/** What Conduit takes from its environment. The JWT secret is made once and kept in the data folder unless it is given. */
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { jwt } from 'tenfold'
import type { Jwt } from 'tenfold'

export const dataFolder = (): string => path.resolve(process.env.TENFOLD_DATA ?? '.tenfold')

function secret(): string {
  if (process.env.CONDUIT_JWT_SECRET) return process.env.CONDUIT_JWT_SECRET
  const file = path.join(dataFolder(), 'conduit-jwt-secret')
  if (!existsSync(file)) {
    mkdirSync(dataFolder(), { recursive: true })
    // Processes may start at once: the first decides, and a link shows the file whole or not at all.
    const draft = `${file}.${randomBytes(6).toString('hex')}`
    writeFileSync(draft, randomBytes(48).toString('base64url'), { mode: 0o600 })
    try { linkSync(draft, file) } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally { rmSync(draft) }
  }
  return readFileSync(file, 'utf8')
}

const lifetimeMs = 60 * 24 * 3_600_000
let made: Jwt | undefined

/** Signs and checks the tokens of callers; made on first use, so that importing the application touches nothing. */
export const tokens = (): Jwt => made ??= jwt({ secret: secret(), issuer: 'conduit', lifetimeMs })
