/** What an examination finds: one thing, whether it is as it should be, and its mend where it is not. */

export interface Finding {
  readonly area: 'machine' | 'application' | 'deployment' | 'database'
  readonly what: string
  /** `note` is worth knowing and harms nothing now. */
  readonly state: 'ok' | 'note' | 'wrong'
  readonly found: string
  readonly mend?: string
}

export type Finder = (what: string, found: string, fault?: { readonly mend: string; readonly state?: 'note' | 'wrong' } | false) => Finding

/** Makes the findings of one area: with a fault they are wrong unless it is only noted. */
export function finderOf(area: Finding['area']): Finder {
  return (what, found, fault) => fault ? { area, what, found, state: fault.state ?? 'wrong', mend: fault.mend } : { area, what, found, state: 'ok' }
}
