/** Users of the planted Conduit: each asks one thing again and again, without thinking. */
import { journey } from '../../src/load/index.ts'
import type { User } from '../../src/load/index.ts'

const asks = (name: string, run: (user: User) => Promise<unknown>) => journey({ name, thinkMs: 0, weight: 1, run: async user => { await run(user) } })
const any = (user: User, count: number) => Math.floor(user.random() * count)

export const light = asks('light', async user => {
  await user.get('tags', '/api/tags', { thinkMs: 20 })
  await user.get('articles', '/api/articles?limit=10', { thinkMs: 20 })
})
/** Computes more for each request than the server does. */
export const heavy = asks('heavy', async user => {
  let work = 0
  for (let round = 0; round < 12_000_000; round++) work = Math.imul(work ^ round, 0x01000193)
  await user.get('tags', work === 1 ? '/api/tags?' : '/api/tags')
})
export const slow = asks('slow', user => user.get('slow', `/planted/slow/60000/${any(user, 1e9)}`))
export const quick = asks('quick', user => user.get('slow', `/planted/slow/6000/${any(user, 1e9)}`))
export const lovers = asks('lovers', user => user.get('lovers', `/planted/lovers/019aba00-0000-7000-8000-${String(any(user, 1_000)).padStart(12, '0')}`))
export const burn = asks('burn', user => user.get('burn', `/planted/burn/12/${any(user, 1e9)}`))
export const scorch = asks('scorch', user => user.get('burn', `/planted/burn/3/${any(user, 1e9)}`))
export const pause = asks('pause', user => user.get('pause', '/planted/pause/20'))
export const outside = asks('outside', user => user.get('outside', '/planted/outside/40'))
export const nearby = asks('nearby', user => user.get('outside', '/planted/outside/8'))
export const hold = asks('hold', user => user.post('hold', `/planted/hold/${any(user, 4_000)}/20`))
export const hot = asks('hot', user => user.post('count', '/planted/count/hot/10'))
export const spread = asks('spread', user => user.post('count', `/planted/count/${any(user, 4_000)}/10`))
export const write = asks('write', user => user.post('count', `/planted/count/${any(user, 4_000)}/0`))
export const costly = asks('costly', user => user.get('costly', `/planted/costly/${user.popular(ranks)}`))

const ranks = Array.from({ length: 60 }, (_, rank) => rank)
