/** W3C Trace Context: one traceparent per request, a new span id per hop. */
import { randomHex } from '../base/random.ts'

const pattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** The incoming traceparent with a span of our own, or a new trace. */
export function traceparentFrom(header: string | undefined): string {
  if (header && pattern.test(header)) return `${header.slice(0, 36)}${randomHex(8)}${header.slice(52)}`
  const hex = randomHex(24)
  return `00-${hex.slice(0, 32)}-${hex.slice(32)}-01`
}

export const traceIdOf = (traceparent: string): string => traceparent.slice(3, 35)
