/** What surrounds every page: where one is, what there is, whether the numbers are live, the theme. */
import { useEffect, useRef } from 'react'
import type { ComponentType } from 'react'
import { AdvicePage } from './advice-page.tsx'
import { ApiPage } from './api-page.tsx'
import { BacklogPage } from './backlog-page.tsx'
import { DatabasePage } from './database-page.tsx'
import { IntentsPage } from './intents-page.tsx'
import { useLive } from './live.ts'
import type { Connection } from './live.ts'
import { LoadPage } from './load-page.tsx'
import { LogsPage } from './logs-page.tsx'
import { MapPage } from './map-page.tsx'
import { Empty } from './notice.tsx'
import { addressOf, usePlace } from './route.ts'
import type { Place } from './route.ts'
import { act } from './session.ts'
import type { SessionFacts } from './session.ts'
import { choose, useTheme } from './theme.ts'
import type { Choice } from './theme.ts'

interface PageEntry { readonly name: string; readonly label: string; readonly page: ComponentType<{ place: Place }> }

const pages: readonly PageEntry[] = [
  { name: 'map', label: 'Map', page: MapPage },
  { name: 'intents', label: 'Intents', page: IntentsPage },
  { name: 'database', label: 'Database', page: DatabasePage },
  { name: 'backlog', label: 'Jobs and events', page: BacklogPage },
  { name: 'logs', label: 'Logs', page: LogsPage },
  { name: 'load', label: 'Load', page: LoadPage },
  { name: 'advice', label: 'Advice', page: AdvicePage },
  { name: 'api', label: 'API', page: ApiPage },
]

const words: Readonly<Record<Connection, string>> = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting' }

export function Shell({ facts, onLogout }: { facts: SessionFacts; onLogout: () => void }) {
  const place = usePlace()
  const { connection } = useLive()
  const found = pages.find(one => one.name === place.page)
  const main = useRef<HTMLElement>(null)
  const shown = useRef(place.page)
  useEffect(() => {
    document.title = `${found?.label ?? 'Not found'} · ${facts.application} · Tenfold`
    // Who moves by keyboard or hears the page goes on at its beginning.
    if (shown.current !== place.page) main.current?.focus({ preventScroll: true })
    if (shown.current !== place.page) window.scrollTo(0, 0)
    shown.current = place.page
    // On a phone the pages are a row that scrolls.
    document.querySelector('nav.pages [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })
  }, [place.page, found, facts.application])
  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={event => { event.preventDefault(); main.current?.focus() }}>Skip to the page</a>
      <header className="top">
        <a className="brand" href={addressOf('map')}><img src="/icon.svg" alt="" width="26" height="26" /><span>{facts.application}</span></a>
        <span className="topology">{facts.topology}</span>
        <span className={`connection ${connection}`} role="status">{words[connection]}</span>
        <ThemeChoice />
        {facts.login === 'given' && <button type="button" onClick={() => void act('DELETE', '/session').finally(onLogout)}>Sign out</button>}
      </header>
      <nav className="pages" aria-label="Pages">
        <ul>
          {pages.map(({ name, label }) => <li key={name}><a href={addressOf(name)} aria-current={name === place.page ? 'page' : undefined}>{label}</a></li>)}
        </ul>
      </nav>
      <main id="main" ref={main} tabIndex={-1} className={connection === 'reconnecting' ? 'stale' : ''}>
        {connection === 'reconnecting' && <p className="banner" role="alert">The deployment does not answer. What you see is from before; this page goes on by itself as soon as it is back.</p>}
        <h1>{found?.label ?? 'Not found'}</h1>
        {found ? <found.page place={place} /> : <Empty>There is no page of this name. Choose one above.</Empty>}
      </main>
    </div>
  )
}

function ThemeChoice() {
  const { choice } = useTheme()
  return (
    <label className="theme"><span className="hidden">Theme</span>
      <select value={choice} onChange={event => choose(event.target.value as Choice)}>
        <option value="system">Auto</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  )
}
