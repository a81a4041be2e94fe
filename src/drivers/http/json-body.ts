/** Request bodies: JSON that is neither too deep nor able to touch a prototype; an empty body is undefined. */
import { parse } from 'secure-json-parse'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'

export function parseJsonBody(text: string): unknown {
  if (text.trim() === '') return undefined
  if (depthOf(text) > limits.jsonDepthMax) throw fault('BAD_REQUEST', `the JSON is nested deeper than ${limits.jsonDepthMax} levels`)
  try {
    return parse(text, null, { protoAction: 'error', constructorAction: 'error' })
  } catch (error) {
    throw fault('BAD_REQUEST', `the body is not acceptable JSON: ${(error as Error).message}`, { cause: error })
  }
}

/** How deep brackets nest, outside of strings; never less than the true depth of valid JSON. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inString) {
      if (code === 0x5c) at++
      else if (code === 0x22) inString = false
    } else if (code === 0x22) inString = true
    else if (code === 0x7b || code === 0x5b) { if (++depth > deepest) deepest = depth } else if (code === 0x7d || code === 0x5d) depth--
  }
  return deepest
}
