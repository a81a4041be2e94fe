/**
 * What sessions did to cells whose version only grows, and which of the session guarantees it
 * breaks (Terry et al. 1994). A cell is read in several ways; each shows a version.
 *
 *   read your writes      nothing older than what this session wrote
 *   monotonic reads       nothing older than what this session was shown
 *   writes follow reads   a write comes after what its session had seen: it gets a later version,
 *                         and whoever is shown it is from then on shown nothing older than that
 *   one version, one write: two acknowledged writes of a cell never have the same version
 *
 * Pure. A session's operations are in its order; between sessions only what was shown counts.
 */

export interface Operation {
  readonly kind: 'write' | 'read'
  /** How it was read. */
  readonly by: string
  readonly cell: string
  readonly version: number
  /** True where the session's token no longer counted: what was seen before is forgotten. */
  readonly forgets?: boolean
}

/** By session, each in its order. */
export type History = ReadonlyMap<string, readonly Operation[]>

export type Guarantee = 'read your writes' | 'monotonic reads' | 'writes follow reads' | 'one version, one write'

export interface Violation { readonly guarantee: Guarantee; readonly says: string }

type Versions = Map<string, number>

const idOf = (cell: string, version: number): string => `${cell}\u0000${version}`
const raise = (versions: Versions, cell: string, version: number): boolean => {
  if (version <= (versions.get(cell) ?? 0)) return false
  versions.set(cell, version)
  return true
}
const join = (versions: Versions, others: Versions | undefined): void => { for (const [cell, version] of others ?? []) raise(versions, cell, version) }

/** What one session knows: by its writes, by what it was shown, and by what those who wrote that had seen. */
class Knowledge {
  wrote: Versions = new Map()
  read: Versions = new Map()
  followed: Versions = new Map()

  all(): Versions {
    const all: Versions = new Map(this.wrote)
    join(all, this.read)
    join(all, this.followed)
    return all
  }

  forget(): void { [this.wrote, this.read, this.followed] = [new Map(), new Map(), new Map()] }

  learn({ kind, cell, version }: Operation, causes: ReadonlyMap<string, Versions>): void {
    raise(kind === 'write' ? this.wrote : this.read, cell, version)
    join(this.followed, causes.get(idOf(cell, version)))
  }
}

/** For each write, what its session had seen. Repeated until nothing is added: what was seen has causes of its own. */
function causesOf(history: History): ReadonlyMap<string, Versions> {
  const causes = new Map<string, Versions>()
  for (let isNews = true; isNews;) {
    isNews = false
    for (const operations of history.values()) {
      const knowledge = new Knowledge()
      for (const operation of operations) {
        if (operation.forgets) knowledge.forget()
        if (operation.kind === 'write') {
          const id = idOf(operation.cell, operation.version)
          const known = causes.get(id) ?? new Map<string, number>()
          for (const [cell, version] of knowledge.all()) if (cell !== operation.cell && raise(known, cell, version)) isNews = true
          causes.set(id, known)
        }
        knowledge.learn(operation, causes)
      }
    }
  }
  return causes
}

export function violationsOf(history: History): Violation[] {
  const causes = causesOf(history)
  const violations: Violation[] = []
  const writers = new Map<string, string>()
  for (const [session, operations] of history) {
    const knowledge = new Knowledge()
    operations.forEach((operation, index) => {
      const { kind, by, cell, version, forgets } = operation
      if (forgets) knowledge.forget()
      const complain = (guarantee: Guarantee, known: number) => violations.push({ guarantee, says: `${session}, operation ${index + 1}: ${kind} by ${by} of ${cell} gives version ${version} after ${known}` })
      const [wrote, read, followed] = [knowledge.wrote, knowledge.read, knowledge.followed].map(versions => versions.get(cell) ?? 0) as [number, number, number]
      if (kind === 'write') {
        const known = Math.max(wrote, read, followed)
        if (version <= known) complain('writes follow reads', known)
        const other = writers.get(idOf(cell, version))
        if (other !== undefined) violations.push({ guarantee: 'one version, one write', says: `${session} and ${other} both wrote version ${version} of ${cell}` })
        writers.set(idOf(cell, version), session)
      } else {
        if (version < wrote) complain('read your writes', wrote)
        if (version < read) complain('monotonic reads', read)
        if (version < followed) complain('writes follow reads', followed)
      }
      knowledge.learn(operation, causes)
    })
  }
  return violations
}
