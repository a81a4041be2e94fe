/**
 * Conformance suites are data: a list of named checks that every driver of a port must
 * pass against its real engine. Any test runner can iterate them; `verify` returns the
 * cases with capabilities and deviations already decided.
 *
 * A capability is tested both ways: declared, the check must hold; not declared, the call
 * must refuse with NOT_SUPPORTED. A deviation needs a reason and fails when the check passes.
 */
import { isTenfoldError } from '../base/errors.ts'

export interface Check<Subject> {
  /** Capability without which the driver must refuse. */
  readonly needs?: string
  /** Faults the subject must be able to inject, for instance 'restart'; without it the check is left out, loudly. */
  readonly fault?: string
  run(subject: Subject): Promise<void>
}

export interface Suite<Subject> {
  readonly port: string
  readonly checks: Readonly<Record<string, Check<Subject> | ((subject: Subject) => Promise<void>)>>
}

export function suite<Subject>(port: string, checks: Suite<Subject>['checks']): Suite<Subject> {
  return { port, checks }
}

export interface Driver<Subject> {
  readonly name: string
  /** A fresh subject in its own namespace; `close` frees it. */
  open(): Promise<{ subject: Subject; close(): Promise<void> }>
  readonly supports?: readonly string[]
  readonly faults?: readonly string[]
  readonly deviates?: Readonly<Record<string, string>>
}

export interface Case {
  readonly name: string
  /** Why the case is left out, when it is. */
  readonly skip?: string
  run(): Promise<void>
}

/** The cases of this driver, each independent of the others. */
export function verify<Subject>(suite: Suite<Subject>, driver: Driver<Subject>): Case[] {
  for (const name of Object.keys(driver.deviates ?? {})) {
    if (!(name in suite.checks)) throw new Error(`${driver.name} deviates from an unknown check of ${suite.port}: ${name}`)
  }
  return Object.entries(suite.checks).map(([name, entry]) => {
    const check: Check<Subject> = typeof entry === 'function' ? { run: entry } : entry
    const title = `${suite.port} · ${driver.name} · ${name}`
    if (check.fault && !driver.faults?.includes(check.fault)) {
      return { name: title, skip: `the fault '${check.fault}' cannot be injected here`, run: async () => {} }
    }
    return { name: title, run: () => runCheck(check, driver, name) }
  })
}

async function runCheck<Subject>(check: Check<Subject>, driver: Driver<Subject>, name: string): Promise<void> {
  const { subject, close } = await driver.open()
  try {
    const error = await check.run(subject).then(() => null, (error: unknown) => error ?? new Error('rejected with nothing'))
    const declared = !check.needs || driver.supports?.includes(check.needs)
    const reason = driver.deviates?.[name]
    if (!declared) {
      if (isTenfoldError(error) && error.code === 'NOT_SUPPORTED') return
      throw new Error(`${driver.name} does not declare '${check.needs}' and must refuse with NOT_SUPPORTED`, { cause: error })
    }
    if (reason && !error) throw new Error(`the deviation has become needless (${reason}): take it out`)
    if (error && !reason) throw error
  } finally {
    await close()
  }
}

/** Runs every case, one after another unless `together`, and returns the names of those that failed: for tests of deliberately broken drivers. */
export async function failures(cases: readonly Case[], together = false): Promise<string[]> {
  const failed = new Set<string>()
  const run = ({ name, run }: Case) => run().catch(() => { failed.add(name) })
  const wanted = cases.filter(one => !one.skip)
  if (together) await Promise.all(wanted.map(run))
  else for (const one of wanted) await run(one)
  return wanted.map(one => one.name).filter(name => failed.has(name))
}
