/**
 * What one turn of the event loop has to say on a connection leaves in one write: the server
 * is woken once, answers in one go, and a transaction's BEGIN, statements and COMMIT are not
 * a system call each. The connections are pipelined, so nothing waits for an answer between.
 */
import type pg from 'pg'

interface Corkable { readonly writableCorked: number; cork(): void; uncork(): void }

/** Call it before a statement is sent: writes wait until this turn is over. */
export function gatherWrites(client: pg.ClientBase): void {
  const { stream } = (client as unknown as { readonly connection: { readonly stream: Corkable } }).connection
  if (stream.writableCorked > 0) return
  stream.cork()
  setImmediate(() => stream.uncork())
}
