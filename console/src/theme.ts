/** Light or dark: the system's, unless somebody has chosen. */
import { useSyncExternalStore } from 'react'

export type Choice = 'system' | 'light' | 'dark'

const dark = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<() => void>()
const choiceOf = (): Choice => (document.documentElement.dataset.theme as Choice | undefined) ?? 'system'
const shownOf = (): 'light' | 'dark' => { const choice = choiceOf(); return choice !== 'system' ? choice : dark.matches ? 'dark' : 'light' }
const read = () => `${choiceOf()} ${shownOf()}`

export function choose(choice: Choice): void {
  if (choice === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = choice
  try { localStorage.setItem('tenfold-theme', choice) } catch { /* kept for this page only */ }
  for (const listener of listeners) listener()
}

export function useTheme(): { choice: Choice; shown: 'light' | 'dark' } {
  const [choice, shown] = useSyncExternalStore(listener => {
    listeners.add(listener)
    dark.addEventListener('change', listener)
    return () => { listeners.delete(listener); dark.removeEventListener('change', listener) }
  }, read).split(' ') as [Choice, 'light' | 'dark']
  return { choice, shown }
}
