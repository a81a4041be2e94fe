/** Traffic as sequences of requests: drawn by a small generator of its own, so that all sides of a comparison ask the same. Articles by Zipf's law, in the order of their slugs: the newest most often, so that what is written to most is also what lists show. */
import { authorization } from './client.ts'
import type { LoadRequest } from './load/load.ts'

export const mixCount = 8_000

export function drawer(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
}

function zipfOver<T>(all: readonly T[], draw: () => number): () => T {
  const weights = all.map((_, index) => 1 / (index + 1))
  const total = weights.reduce((sum, one) => sum + one, 0)
  return () => {
    let at = draw() * total
    return all[weights.findIndex(weight => (at -= weight) <= 0)] ?? all[0]!
  }
}

function readOf(what: number, slug: () => string): string {
  return what < 0.55 ? `/api/articles/${slug()}` : what < 0.85 ? '/api/articles' : what < 0.95 ? `/api/articles/${slug()}/comments` : '/api/tags'
}

/** Reads alone; of people who have signed in, or of anybody, whose answers are kept. */
export function readMix(slugs: readonly string[], tokens: readonly string[] | null): LoadRequest[] {
  const draw = drawer(7)
  const slug = zipfOver(slugs, draw)
  return Array.from({ length: mixCount }, (): LoadRequest =>
    ({ method: 'GET', path: readOf(draw(), slug), ...tokens && { headers: authorization(tokens[Math.floor(draw() * tokens.length)]!) } }))
}

/** 90 % reads of anybody, 10 % writes of people who have signed in. */
export function mixed(slugs: readonly string[], tokens: readonly string[]): LoadRequest[] {
  const draw = drawer(7)
  const slug = zipfOver(slugs, draw)
  const headers = () => authorization(tokens[Math.floor(draw() * tokens.length)]!)
  return Array.from({ length: mixCount }, (_, index): LoadRequest => {
    if (index % 10 !== 9) return { method: 'GET', path: readOf(draw(), slug) }
    const what = draw()
    if (what < 0.5) return { method: 'POST', path: `/api/articles/${slug()}/favorite`, headers: headers() }
    if (what < 0.8) return { method: 'POST', path: `/api/articles/${slug()}/comments`, headers: headers(), body: '{"comment":{"body":"a comment"}}' }
    return { method: 'DELETE', path: `/api/articles/${slug()}/favorite`, headers: headers() }
  })
}

/** Every answer about an article that these mixes ask for. */
export const everything = (slugs: readonly string[]): LoadRequest[] => slugs.flatMap(slug => ['', '/comments'].map(part => ({ method: 'GET', path: `/api/articles/${slug}${part}` })))
