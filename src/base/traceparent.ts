/** W3C Trace Context: the text by which a trace goes on from one hop to the next. */
import { randomHex } from './random.ts'

const pattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** The text of a caller, unless it is none. */
export const validTraceparent = (header: string | undefined): string | undefined => header !== undefined && pattern.test(header) ? header : undefined

export const newTraceId = (): string => randomHex(16)
export const newSpanId = (): string => randomHex(8)

export const traceparentOf = (traceId: string, spanId: string, isSampled: boolean): string => `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`

export const traceIdOf = (traceparent: string): string => traceparent.slice(3, 35)
export const spanIdOf = (traceparent: string): string => traceparent.slice(36, 52)
export const isSampled = (traceparent: string): boolean => (parseInt(traceparent[54]!, 16) & 1) === 1
