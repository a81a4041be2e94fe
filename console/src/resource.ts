/** Something that the admin port is asked for, once or again and again; what was known stays while it is asked anew or cannot be had. */
import { useCallback, useEffect, useState } from 'react'
import { get } from './session.ts'

export interface Resource<T> {
  readonly data: T | null
  readonly error: Error | null
  readonly loading: boolean
  reload(): void
}

export function useResource<T>(path: string | null, everyMs?: number): Resource<T> {
  const [state, setState] = useState<{ path: string | null; data: T | null; error: Error | null }>({ path, data: null, error: null })
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    if (path === null) return
    const ending = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const ask = async () => {
      try {
        const data = await get<T>(path, ending.signal)
        setState({ path, data, error: null })
      } catch (error) {
        if (ending.signal.aborted) return
        setState(before => ({ path, data: before.path === path ? before.data : null, error: error as Error }))
      }
      if (everyMs !== undefined && !ending.signal.aborted) timer = setTimeout(() => void (document.hidden ? later() : ask()), everyMs)
    }
    const later = () => { timer = setTimeout(() => void (document.hidden ? later() : ask()), everyMs) }
    void ask()
    return () => { ending.abort(); clearTimeout(timer) }
  }, [path, everyMs, turn])
  const current = state.path === path
  return {
    data: current ? state.data : null, error: current ? state.error : null, loading: path !== null && (!current || (state.data === null && state.error === null)),
    reload: useCallback(() => setTurn(one => one + 1), []),
  }
}
