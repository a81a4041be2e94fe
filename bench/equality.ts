/** Checks that both sides answer the same bytes, before any of them is measured. */
import { send } from './client.ts'
import { createRequest, rows } from './rows.ts'
import type { Subject } from './rows.ts'
import type { LoadRequest } from './load/load.ts'

export interface Side {
  readonly name: string
  readonly url: string
  readonly subject: Subject
}

export interface Difference { readonly path: string; readonly wanted: string; readonly got: string }

const samplesPerRow = 40

/** What legitimately differs: tokens, and an article's own slug and moments. */
function normalise(text: string, created: boolean): string {
  const plain = text.replace(/"token":"[^"]+"/, '"token":"…"')
  return created ? plain.replace(/"slug":"[^"]+"/, '"slug":"…"').replace(/"(createdAt|updatedAt)":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/g, '"$1":"…"') : plain
}

export async function compare(conduit: Side, reference: Side): Promise<Difference[]> {
  const differences: Difference[] = []
  const check = async (left: LoadRequest, right: LoadRequest, created: boolean) => {
    const [got, wanted] = await Promise.all([send(conduit.url, left), send(reference.url, right)])
    const gotText = `${got.status} ${normalise(got.text, created)}`
    const wantedText = `${wanted.status} ${normalise(wanted.text, created)}`
    if (gotText !== wantedText) differences.push({ path: `${left.method} ${left.path}`, ...around(wantedText, gotText) })
  }
  for (const row of rows) {
    if (row.name === 'create') continue
    const left = row.requests(conduit.subject)
    const right = row.requests(reference.subject)
    for (let i = 0; i < Math.min(left.length, samplesPerRow); i++) await check(left[i]!, right[i]!, false)
  }
  for (const path of ['/api/articles?limit=7&offset=33', '/api/articles?offset=100000', '/api/articles/no-such-article']) {
    await check({ method: 'GET', path }, { method: 'GET', path }, false)
  }
  await check({ method: 'GET', path: '/api/articles/feed' }, { method: 'GET', path: '/api/articles/feed' }, false)
  const left = createRequest(conduit.subject.tokens[0]!)
  const right = createRequest(reference.subject.tokens[0]!)
  await check(left, right, true)
  return differences
}

/** Both texts around their first difference. */
function around(wanted: string, got: string): { wanted: string; got: string } {
  let at = 0
  while (at < wanted.length && wanted[at] === got[at]) at++
  const from = Math.max(0, at - 60)
  return { wanted: wanted.slice(from, at + 120), got: got.slice(from, at + 120) }
}
