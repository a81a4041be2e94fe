/**
 * The session port: who has signed in, under a key that the client's id is hashed to.
 *
 * Contract
 * - A session is there from the moment `begin` resolves, for every process, until it has not
 *   been used for idleMs, absoluteMs have passed since it began, or it is ended.
 * - `rotate` makes it the same session under another key, which ends as it would have; the
 *   old key holds nothing from that moment on. Of several at once one succeeds.
 * - When `end` or `endAll` resolves, nobody is given what has ended, ever.
 * - What was acknowledged survives the death of the engine's process.
 * - An engine that does not answer is UNAVAILABLE: nobody is taken for signed out, or in.
 */

export interface SessionState {
  /** Whose it is: `endAll` ends all of a subject. */
  readonly subject: string
  /** A text that comes back as it is. */
  readonly claims: string
}

export interface SessionPolicy {
  readonly idleMs: number
  readonly absoluteMs: number
}

export interface Sessions {
  open(): Promise<void>
  close(): Promise<void>
  begin(key: string, state: SessionState, policy: SessionPolicy): Promise<void>
  /** The session, from now on not idle; null when there is none. */
  use(key: string): Promise<SessionState | null>
  /** False when there is none under the first key. */
  rotate(key: string, newKey: string, claims: string): Promise<boolean>
  end(key: string): Promise<void>
  /** How many there were. */
  endAll(subject: string): Promise<number>
  /** Forgets what has ended by itself. */
  prune(): Promise<void>
}
