/** The page that is shown, as the fragment of the address says: `#/intents/articles.list`. */
import { useSyncExternalStore } from 'react'

export interface Place { readonly page: string; readonly rest: readonly string[]; readonly query: URLSearchParams }

let [text, place]: [string | null, Place] = [null, { page: 'map', rest: [], query: new URLSearchParams() }]

function read(): Place {
  if (text === location.hash) return place
  text = location.hash
  const [path = '', query = ''] = text.replace(/^#\/?/, '').split('?')
  const [page = '', ...rest] = path.split('/').map(decodeURIComponent)
  return place = { page: page || 'map', rest, query: new URLSearchParams(query) }
}

export const usePlace = (): Place => useSyncExternalStore(listener => {
  window.addEventListener('hashchange', listener)
  return () => window.removeEventListener('hashchange', listener)
}, read)

export const addressOf = (page: string, ...rest: readonly string[]): string => `#/${[page, ...rest].map(encodeURIComponent).join('/')}`
