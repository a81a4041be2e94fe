/**
 * The broadcast port: a short text that every process of a deployment hears, at once. For
 * what makes a process forget (caches) or look (routes); what must not be lost goes through
 * the bus.
 *
 * Contract
 * - When `send` resolves, the engine has the text, and every listener of every process that
 *   is connected hears it without being asked, also the sender's own.
 * - Texts of one sender arrive in the order in which they were sent.
 * - Nothing is kept for who is away. A listener that may have missed something is told so by
 *   `gap`, before the first text after it; `hearing` is false from the loss of the
 *   connection, as soon as it can be known, until it is heard again.
 */

export interface BroadcastListener {
  heard(text: string): void
  /** Texts may have been missed since the last one. */
  gap(): void
}

export interface Broadcast {
  open(): Promise<void>
  close(): Promise<void>
  /** At most bytesMax bytes of UTF-8; longer ones are a programming error. */
  send(topic: string, text: string): Promise<void>
  /** Registers a listener; the returned function takes it away. */
  listen(topic: string, listener: BroadcastListener): () => void
  /** False while texts may pass unheard. */
  readonly hearing: boolean
  readonly bytesMax: number
}
