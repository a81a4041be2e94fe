/** Load: choose journeys and how many, start them, watch what becomes of them. */
import { useState } from 'react'
import type { FormEvent } from 'react'
import { Action } from './confirm.tsx'
import { count, duration, milliseconds, percent, rate } from './format.ts'
import { Empty, Failure, Loaded } from './notice.tsx'
import { Badge, Panel, Tile, Tiles } from './panel.tsx'
import { Plot } from './plot.tsx'
import { useResource } from './resource.ts'
import { act } from './session.ts'
import type { JourneyFacts, LoadRun } from './shapes.ts'
import { Table } from './table.tsx'

interface Desk { readonly run: LoadRun | null; readonly journeys: readonly JourneyFacts[] }

export function LoadPage() {
  const desk = useResource<Desk>('/load', 1_000)
  return (
    <Loaded of={desk} what="the journeys">{({ run, journeys }) => journeys.length === 0
      ? <Panel title="Journeys"><Empty>This application has no journeys. Write some with journey() of 'tenfold/load' in the folder load/ beside it.</Empty></Panel>
      : (
        <>
          <Settings journeys={journeys} isRunning={run?.state === 'running' || run?.state === 'stopping'} onChange={desk.reload} />
          {run ? <Run run={run} /> : <Panel title="Progress"><Empty>No load has been started from here since the deployment began.</Empty></Panel>}
        </>
      )}</Loaded>
  )
}

function Settings({ journeys, isRunning, onChange }: { journeys: readonly JourneyFacts[]; isRunning: boolean; onChange: () => void }) {
  const [kind, setKind] = useState<'rate' | 'users'>('rate')
  const [amount, setAmount] = useState('10')
  const [seconds, setSeconds] = useState('60')
  const [mix, setMix] = useState<Readonly<Record<string, string>>>(() => Object.fromEntries(journeys.map(one => [one.name, String(one.weight)])))
  const [error, setError] = useState<Error | null>(null)
  const start = (event: FormEvent) => {
    event.preventDefault()
    setError(null)
    const weights = Object.fromEntries(Object.entries(mix).map(([name, weight]) => [name, Number(weight)]))
    act('POST', '/load', { [kind]: Number(amount), seconds: Number(seconds), mix: weights }).then(onChange, setError)
  }
  return (
    <Panel title="Journeys" note="requests go to this deployment; latency counts from the moment each was due">
      <form onSubmit={start}>
        <div className="filters">
          <label>Load by<select value={kind} disabled={isRunning} onChange={event => setKind(event.target.value as 'rate' | 'users')}><option value="rate">journey rate</option><option value="users">users at once</option></select></label>
          <label>{kind === 'rate' ? 'Journeys per second' : 'Users'}<input type="number" required min={kind === 'rate' ? 0.1 : 1} max={10_000} step={kind === 'rate' ? 'any' : 1} value={amount} disabled={isRunning} onChange={event => setAmount(event.target.value)} /></label>
          <label>Seconds<input type="number" required min={1} max={3600} value={seconds} disabled={isRunning} onChange={event => setSeconds(event.target.value)} /></label>
          {journeys.map(({ name, thinkMs }) => (
            <label key={name}>Weight of {name} <input type="number" required min={0} max={10_000} step="any" value={mix[name]} disabled={isRunning} title={`thinks ${duration(thinkMs)} between steps`} onChange={event => setMix({ ...mix, [name]: event.target.value })} /></label>
          ))}
        </div>
        {error && <Failure error={error} />}
        <div className="buttons">
          <button type="submit" className="accent" disabled={isRunning}>Start load</button>
          <Action label="Stop" disabled={!isRunning} run={async () => { await act('DELETE', '/load'); onChange(); return 'Stopping: answers are waited for' }} />
        </div>
      </form>
    </Panel>
  )
}

const tones = { running: 'accent', stopping: 'warn', done: 'good', failed: 'bad' } as const

function Run({ run: { state, progress, report, error, settings } }: { run: LoadRun }) {
  const last = progress.at(-1)
  const times = progress.map(one => one.second)
  return (
    <>
      <Panel title="Progress" note={<><Badge tone={tones[state]}>{state}</Badge> {last ? `${last.phase}, second ${last.second} of ${Math.round(settings.durationMs / 1_000)}` : 'preparing the users'}</>}>
        {error && <Failure error={new Error(error)} />}
        <Tiles>
          <Tile label="Offered" value={rate(last?.offered ?? null)} note="requests that fell due" />
          <Tile label="Good" value={rate(last?.good ?? null)} />
          <Tile label="Refused" value={rate(last?.refused ?? null)} tone={last?.refused ? 'warn' : undefined} />
          <Tile label="Failed" value={rate(last?.failed ?? null)} tone={last?.failed ? 'bad' : undefined} />
          <Tile label="p50" value={milliseconds(last?.p50Ms ?? null)} />
          <Tile label="p99" value={milliseconds(last?.p99Ms ?? null)} />
          <Tile label="Users" value={count(last?.users ?? null)} note={last ? `${last.inFlight} requests in flight` : ''} />
          <Tile label="Generator" value={percent(last?.utilisation ?? null)} note={last ? `${last.generators} process${last.generators === 1 ? '' : 'es'}, ${percent(last.lateShare)} late` : ''} tone={last && last.utilisation > 0.85 ? 'warn' : undefined} />
        </Tiles>
      </Panel>
      <div className="pair">
        <Panel title="Requests"><Plot label="Per second, by second of the run" elapsed times={times} format={rate} lines={[
          { label: 'offered', tone: 'second', values: progress.map(one => one.offered) }, { label: 'good', tone: 'accent', values: progress.map(one => one.good) },
          { label: 'failed', tone: 'bad', values: progress.map(one => one.failed) },
        ]} spanSeconds={Math.max(30, Math.min(300, settings.durationMs / 1_000))} /></Panel>
        <Panel title="Latency"><Plot label="From the moment it was due" elapsed times={times} format={milliseconds} lines={[
          { label: 'p50', tone: 'accent', values: progress.map(one => one.p50Ms) }, { label: 'p99', tone: 'second', values: progress.map(one => one.p99Ms) },
        ]} spanSeconds={Math.max(30, Math.min(300, settings.durationMs / 1_000))} /></Panel>
      </div>
      {report && <Report report={report} />}
    </>
  )
}

function Report({ report }: { report: NonNullable<LoadRun['report']> }) {
  return (
    <Panel title="Result" note={`${report.load}, ${report.seconds.toFixed(0)} s${report.isAborted ? ', stopped early' : ''}: ${rate(report.goodPerSecond)} good answers, ${count(report.journeys.finished)} journeys finished, ${count(report.journeys.gaveUp)} given up`}>
      {report.generator.isBound && <p className="banner" role="note">The generator was itself the limit: {report.generator.why}. These latencies are its own.</p>}
      <Table label="Steps" rows={[...report.steps]} keyOf={row => row.step} sort="step" ascending columns={[
        { name: 'step', label: 'Step', value: row => row.step, show: row => row.step },
        { name: 'answers', label: 'Answers', numeric: true, value: row => row.answers, show: row => count(row.answers) },
        { name: 'failed', label: 'Failed', numeric: true, value: row => row.failed, show: row => <span className={row.failed > 0 ? 'bad-text' : ''}>{count(row.failed)}</span> },
        { name: 'refused', label: 'Refused', numeric: true, wide: true, value: row => row.refused, show: row => count(row.refused) },
        { name: 'p50', label: 'p50', numeric: true, value: row => row.p50Ms, show: row => milliseconds(row.p50Ms) },
        { name: 'p99', label: 'p99', numeric: true, value: row => row.p99Ms, show: row => milliseconds(row.p99Ms) },
        { name: 'max', label: 'Longest', numeric: true, wide: true, value: row => row.maxMs, show: row => milliseconds(row.maxMs) },
      ]} />
    </Panel>
  )
}
