/**
 * The balancer port: what stands before the nodes that answer requests, and gives each
 * request to one of them.
 *
 * Contract
 * - A node that was added gets requests when `add` resolves, and its share of them: what
 *   balances is the work under way, not the number of connections.
 * - A node that drains gets no new request; `drain` resolves when none is under way there, or
 *   rejects with DEADLINE after graceMs. One that is removed is forgotten.
 * - A node that cannot be reached, or that ends without an answer, loses nobody a request that
 *   may be repeated: another node gets it. Those are GET, HEAD and OPTIONS, and everything with an
 *   Idempotency-Key, which the balancer adds where a client sent none, except below the
 *   prefixes it was told to leave alone.
 * - A node that stops answering, or fails far more often than the others, gets no requests
 *   until it is well again; never do more than a third of the nodes lose theirs for failing.
 * - What no node has room for waits a bounded time, then is refused with 503 and Retry-After.
 * - Nodes learn the client's address from X-Forwarded-For, of which the last entry is the balancer's.
 * - While the engine is away callers wait instead of being refused; when it is back it knows
 *   every node. A supervisor that dies takes no node from it.
 */

export interface Node {
  /** Unique for ever: a process that comes back has another one. */
  readonly name: string
  readonly host: string
  readonly port: number
  /** Of what a node without a limit can do: it gets so much less of the work. 1 unless told otherwise; more is not used. */
  readonly share?: number | undefined
}

export interface NodeReport {
  readonly name: string
  readonly state: 'up' | 'draining' | 'down' | 'ejected'
  /** Under way. */
  readonly inFlight: number
  /** Waiting for this node. */
  readonly queued: number
  /** Since it was added. */
  readonly requests: number
  /** Answers with a status of 500 and more. */
  readonly failures: number
}

export interface BalancerReport {
  readonly nodes: readonly NodeReport[]
  /** Requests of clients since the engine started, and those that wait for any node. */
  readonly requests: number
  readonly queued: number
  /** Given to another node after the first had failed. */
  readonly repeated: number
}

export interface Balancer {
  /** Listens from now on; without a node callers are refused, 503 with Retry-After. */
  open(): Promise<void>
  /** What is under way ends within graceMs; from then on nodes may come and go without a word. */
  close(graceMs: number): Promise<void>
  add(node: Node): Promise<void>
  drain(name: string, graceMs: number): Promise<void>
  /** Nothing happens when it is not known. */
  remove(name: string): Promise<void>
  observe(): Promise<BalancerReport>
}
