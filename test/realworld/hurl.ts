/**
 * Runs the public RealWorld suite in the form it is written in, Hurl: the part of that language that the suite uses,
 * and nothing is passed over, for what is not known here fails. Bruno, its other form, needs a runner that takes ten
 * seconds of a core each time.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'

export interface HurlResult {
  readonly requests: number
  /** The status of each request, and what is asserted of its answer. */
  readonly assertions: number
  /** What did not hold, with its place and what was answered. */
  readonly failures: readonly string[]
}

export interface Entry {
  readonly line: number
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly status: number
  /** Lines of the sections. */
  readonly captures: readonly string[]
  readonly asserts: readonly string[]
}

type Variables = Map<string, string>

const requestLine = /^([A-Z]+) (\{\{host\}\}\S*)$/
const headerLine = /^([A-Za-z-]+): (.*)$/
const queryLine = /^jsonpath "([^"]*)" (not )?(\S+)(?: (.*))?$/
const captureLine = /^(\w+): jsonpath "([^"]*)"$/

/** `text` is a whole file. */
export function entriesOf(text: string): Entry[] {
  const lines = text.split('\n').map((line, index) => ({ line: index + 1, text: line.trimEnd() })).filter(one => one.text !== '' && !one.text.startsWith('#'))
  const entries: Entry[] = []
  let at = 0
  const take = (isWanted: (text: string) => boolean): string[] => {
    const from = at
    while (at < lines.length && isWanted(lines[at]!.text)) at++
    return lines.slice(from, at).map(one => one.text)
  }
  while (at < lines.length) {
    const { line, text: first } = lines[at++]!
    const [, method, url] = requestLine.exec(first) ?? []
    if (!method) throw new Error(`line ${line} is not a request: ${first}`)
    const headers = Object.fromEntries(take(one => headerLine.test(one) && !one.startsWith('HTTP ')).map(one => headerLine.exec(one)!.slice(1, 3) as [string, string]))
    const body = take(one => !one.startsWith('HTTP ')).join('\n') || undefined
    const status = Number(/^HTTP (\d{3})$/.exec(lines[at++]?.text ?? '')?.[1])
    if (!(status > 0)) throw new Error(`line ${line}: the request has no status to expect`)
    const sections: Record<string, string[]> = { '[Captures]': [], '[Asserts]': [] }
    while (at < lines.length && lines[at]!.text in sections) sections[lines[at++]!.text]!.push(...take(one => !requestLine.test(one) && !one.startsWith('[')))
    entries.push({ line, method, url: url!, headers, body, status, captures: sections['[Captures]']!, asserts: sections['[Asserts]']! })
  }
  return entries
}

function filled(text: string, variables: Variables): string {
  return text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    if (!variables.has(name)) throw new Error(`{{${name}}} has no value`)
    return variables.get(name)!
  })
}

/** `$.articles[0].author.username`; undefined where there is nothing. */
function found(body: unknown, jsonpath: string): unknown {
  if (!/^\$(\.\w+|\[\d+\])+$/.test(jsonpath)) throw new Error(`the path ${jsonpath} is not known here`)
  return jsonpath.match(/\w+/g)!.reduce<unknown>((value, key) => value === null || typeof value !== 'object' ? undefined : (value as Record<string, unknown>)[key], body)
}

const predicates: Readonly<Record<string, (value: unknown, wanted: unknown) => boolean>> = {
  '==': isDeepStrictEqual,
  '!=': (value, wanted) => !isDeepStrictEqual(value, wanted),
  '>=': (value, wanted) => typeof value === 'number' && value >= (wanted as number),
  exists: value => value !== undefined,
  isString: value => typeof value === 'string',
  isBoolean: value => typeof value === 'boolean',
  isInteger: value => Number.isInteger(value),
  isList: value => Array.isArray(value),
  isEmpty: value => (value as { length: number }).length === 0,
  contains: (value, wanted) => Array.isArray(value) && value.includes(wanted),
  matches: (value, wanted) => typeof value === 'string' && new RegExp(wanted as string).test(value),
}

/** Exported for its own test. */
export function holds(body: unknown, assert: string, variables: Variables): boolean {
  const [, jsonpath, not, name, rest] = queryLine.exec(assert) ?? []
  if (!jsonpath) throw new Error(`not known here: ${assert}`)
  const value = found(body, jsonpath)
  const [, inner, operand] = name === 'count' ? /^(\S+) (.*)$/.exec(rest ?? '') ?? [] : [null, name, rest]
  const predicate = predicates[inner!]
  if (!predicate) throw new Error(`the predicate is not known here: ${assert}`)
  if (value === undefined && inner !== 'exists') return false
  return predicate(name === 'count' ? (value as { length: number }).length : value, operand === undefined ? undefined : wantedOf(operand, variables)) !== (not !== undefined)
}

/** A variable without quotes has the type that its text has. */
function wantedOf(operand: string, variables: Variables): unknown {
  const text = filled(operand, variables)
  try { return JSON.parse(text) as unknown } catch { return text }
}

/** Like Hurl, and Bruno, and browsers: what a file's answers set as cookies goes along with its later requests. */
type Cookies = Map<string, string>

async function answerOf(entry: Entry, variables: Variables, cookies: Cookies): Promise<{ status: number; body: unknown }> {
  const headers: Record<string, string> = Object.fromEntries(Object.entries(entry.headers).map(([name, value]) => [name, filled(value, variables)]))
  if (cookies.size > 0) headers.cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const body = entry.body === undefined ? undefined : filled(entry.body, variables)
  const answer = await fetch(filled(entry.url, variables), { method: entry.method, headers: { ...headers, ...body === undefined ? {} : { 'content-type': 'application/json' } }, ...body === undefined ? {} : { body } })
  for (const cookie of answer.headers.getSetCookie()) {
    const [, name, value] = /^([^=;]+)=([^;]*)/.exec(cookie)!
    cookies.set(name!, value!)
  }
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
}

/** Every file of the folder, one request after another. A file goes on after what did not hold. */
export async function runHurl(folder: string, host: string): Promise<HurlResult> {
  const uid = randomBytes(6).toString('hex')
  const failures: string[] = []
  let [requests, assertions] = [0, 0]
  for (const file of readdirSync(folder).filter(name => name.endsWith('.hurl')).sort()) {
    const variables: Variables = new Map([['host', host], ['uid', uid]])
    const cookies: Cookies = new Map()
    for (const entry of entriesOf(readFileSync(path.join(folder, file), 'utf8'))) {
      const { status, body } = await answerOf(entry, variables, cookies)
      const isFalse = entry.asserts.filter(one => !holds(body, one, variables))
      if (status !== entry.status) isFalse.unshift(`HTTP ${entry.status}`)
      if (isFalse.length > 0) failures.push(`${file}:${entry.line} ${entry.method} ${entry.url}: ${isFalse.join('; ')}; answered ${status} ${JSON.stringify(body)}`)
      for (const capture of entry.captures) {
        const [, name, jsonpath] = captureLine.exec(capture) ?? []
        if (!name) throw new Error(`not known here: ${capture}`)
        const value = found(body, jsonpath!)
        if (value === undefined) failures.push(`${file}:${entry.line} has no ${jsonpath} to go on with`)
        variables.set(name, String(value))
      }
      requests++
      assertions += 1 + entry.asserts.length
    }
  }
  return { requests, assertions, failures }
}
