/** An HTTP/1.1 answer as it comes in: knows when it is whole, and is taken apart only when asked. */

const headEnd = Buffer.from('\r\n\r\n')
const lineEnd = Buffer.from('\r\n')

export class ReceivedAnswer {
  status = 0
  closes = false
  #chunks: Buffer[] = []
  #size = 0
  #head: string | null = null
  #bodyStart = 0
  /** Of head and body together; null while it is chunked or ends with the connection. */
  #wholeSize: number | null = null
  #isChunked = false
  /** Where the next size of a chunk stands. */
  #chunkAt = 0
  #pieces: Buffer[] = []

  /** True when the answer is whole. */
  receive(chunk: Buffer): boolean {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#head === null && !this.#readHead()) return false
    if (this.#wholeSize !== null) return this.#size >= this.#wholeSize
    return this.#isChunked && this.#readChunks()
  }

  /**
   * The same, for who wants to know no more than that: the chunk's memory may be used again
   * afterwards. Of an answer that says how long it is only its size is kept.
   */
  count(chunk: Buffer): boolean {
    if (this.#wholeSize === null) {
      const isFirst = this.#size === 0
      if (this.receive(isFirst ? chunk : Buffer.from(chunk))) return true
      if (isFirst && this.#wholeSize === null) this.#chunks = this.#chunks.map(one => Buffer.from(one))
    } else this.#size += chunk.length
    if (this.#wholeSize === null) return false
    this.#chunks.length = 0
    return this.#size >= this.#wholeSize
  }

  /** The connection has ended: true when that is how this answer ends. */
  finish(): boolean { return this.#head !== null && this.#wholeSize === null && !this.#isChunked }

  /** `name: value` lines, as they came. */
  get headLines(): readonly string[] { return this.#head!.split('\r\n').slice(1) }

  get body(): Buffer {
    if (this.#isChunked) return Buffer.concat(this.#pieces)
    return this.#joined().subarray(this.#bodyStart, this.#wholeSize ?? undefined)
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]!
  }

  #readHead(): boolean {
    const buffer = this.#joined()
    const end = buffer.indexOf(headEnd)
    if (end < 0) return false
    this.status = (buffer[9]! - 48) * 100 + (buffer[10]! - 48) * 10 + buffer[11]! - 48
    if (this.status < 200) {
      // 100 and 103 come before the answer proper.
      this.#chunks = [buffer.subarray(end + 4)]
      this.#size = this.#chunks[0]!.length
      return this.#readHead()
    }
    const head = buffer.toString('latin1', 0, end)
    this.#head = head
    this.#bodyStart = end + 4
    this.#chunkAt = end + 4
    this.closes = /\r\nconnection: *close/i.test(head)
    this.#isChunked = /\r\ntransfer-encoding: *chunked/i.test(head)
    if (this.#isChunked) return true
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)
    if (length) this.#wholeSize = end + 4 + Number(length[1])
    else if (this.status === 204 || this.status === 304) this.#wholeSize = end + 4
    else this.closes = true
    return true
  }

  #readChunks(): boolean {
    const buffer = this.#joined()
    for (;;) {
      const end = buffer.indexOf(lineEnd, this.#chunkAt)
      if (end < 0) return false
      const size = parseInt(buffer.toString('latin1', this.#chunkAt, end), 16)
      // The last one is empty; no trailers are sent to those who did not ask for them.
      if (size === 0) return buffer.length >= end + 4
      if (buffer.length < end + 4 + size) return false
      this.#pieces.push(buffer.subarray(end + 2, end + 2 + size))
      this.#chunkAt = end + 4 + size
    }
  }
}
