/** The log of all processes as one stream, filtered; it follows until somebody stops it to read. */
import { useEffect, useMemo, useRef, useState } from 'react'
import type { LogLine } from './shapes.ts'
import { count } from './format.ts'
import { Empty } from './notice.tsx'
import { Badge, Code, Panel } from './panel.tsx'
import { addressOf } from './route.ts'
import type { Place } from './route.ts'

const linesMax = 1_000
const levelNames: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' }
const tones: Readonly<Record<string, 'plain' | 'warn' | 'bad'>> = { warn: 'warn', error: 'bad', fatal: 'bad' }
const againMs = 2_000

interface Numbered { readonly number: number; readonly line: LogLine }

/** Lines as they come; those that arrive together are shown together. */
function useLines(address: string, paused: boolean): { lines: readonly Numbered[]; isOpen: boolean; waiting: number } {
  const [lines, setLines] = useState<readonly Numbered[]>([])
  const [isOpen, setOpen] = useState(false)
  const [waiting, setWaiting] = useState(0)
  const pending = useRef<Numbered[]>([])
  const next = useRef(0)
  useEffect(() => {
    setLines([])
    pending.current = []
    let source: EventSource
    let again: ReturnType<typeof setTimeout> | undefined
    const open = () => {
      source = new EventSource(address)
      source.addEventListener('open', () => { setOpen(true); setLines([]); pending.current = [] })
      source.addEventListener('message', event => { pending.current.push({ number: next.current++, line: JSON.parse(event.data as string) as LogLine }) })
      source.addEventListener('error', () => {
        setOpen(false)
        if (source.readyState === EventSource.CLOSED) again = setTimeout(open, againMs)
      })
    }
    open()
    return () => { source.close(); clearTimeout(again) }
  }, [address])
  useEffect(() => {
    const timer = setInterval(() => {
      if (paused) return setWaiting(pending.current.length)
      const taken = pending.current.splice(0)
      setWaiting(0)
      if (taken.length > 0) setLines(before => [...before, ...taken].slice(-linesMax))
    }, 250)
    return () => clearInterval(timer)
  }, [paused])
  return { lines, isOpen, waiting }
}

export function LogsPage({ place }: { place: Place }) {
  const [level, setLevel] = useState('info')
  const [intent, setIntent] = useState(place.query.get('intent') ?? '')
  const [trace, setTrace] = useState(place.query.get('trace') ?? '')
  const [text, setText] = useState('')
  const [paused, setPaused] = useState(false)
  const address = `/logs?${new URLSearchParams({ follow: '1', level, limit: '300', ...intent ? { intent } : {}, ...trace ? { trace } : {} })}`
  const { lines, isOpen, waiting } = useLines(address, paused)
  const shown = useMemo(() => text === '' ? lines : lines.filter(({ line }) => JSON.stringify(line).toLowerCase().includes(text.toLowerCase())), [lines, text])
  const list = useRef<HTMLOListElement>(null)
  useEffect(() => { if (!paused && list.current) list.current.scrollTop = list.current.scrollHeight }, [shown, paused])
  return (
    <Panel title="All processes" note={isOpen ? `${count(shown.length)} lines` : 'connecting …'} actions={
      <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>{paused ? `Follow${waiting > 0 ? ` (${waiting} new)` : ''}` : 'Pause'}</button>
    }>
      <div className="filters">
        <label>From level<select value={level} onChange={event => setLevel(event.target.value)}>{Object.values(levelNames).map(name => <option key={name}>{name}</option>)}</select></label>
        <label>Intent<input value={intent} placeholder="articles.list" onChange={event => setIntent(event.target.value.trim())} /></label>
        <label>Trace<input value={trace} placeholder="trace id" onChange={event => setTrace(event.target.value.trim())} /></label>
        <label>Text<input type="search" value={text} placeholder="any text" onChange={event => setText(event.target.value)} /></label>
      </div>
      {shown.length === 0 && <Empty>{isOpen ? 'No line fits yet. Lines appear here as they are written.' : 'Connecting to the log …'}</Empty>}
      <ol className="log" ref={list} tabIndex={0} aria-label="Log lines" hidden={shown.length === 0}>
        {shown.map(({ number, line }) => <Line key={number} line={line} />)}
      </ol>
    </Panel>
  )
}

function Line({ line }: { line: LogLine }) {
  const [open, setOpen] = useState(false)
  const name = levelNames[line.level] ?? String(line.level)
  return (
    <li className={tones[name] ?? ''}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <time>{new Date(line.time).toISOString().slice(11, 23)}</time>
        <Badge tone={tones[name] ?? 'plain'}>{name}</Badge>
        <span className="log-process">{line.process ?? ''}</span>
        <span className="log-text">{line.msg ?? ''} {line.err?.message && line.err.message !== line.msg ? `(${line.err.message})` : ''} <small>{line.intent ?? ''}</small></span>
      </button>
      {open && <div className="log-facts">{line.intent && <p><a href={addressOf('intents', line.intent)}>{line.intent}</a></p>}<Code text={JSON.stringify(line, null, 2)} label="log line" /></div>}
    </li>
  )
}
