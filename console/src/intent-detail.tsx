/** One intent: what it does now and did in the last minutes, its statements, and its slow and failed traces. */
import type { IntentCount } from './shapes.ts'
import { count, milliseconds, number, percent, rate } from './format.ts'
import { useLive } from './live.ts'
import { Empty, Loaded } from './notice.tsx'
import { Panel, Tile, Tiles } from './panel.tsx'
import { Plot } from './plot.tsx'
import { useResource } from './resource.ts'
import { addressOf } from './route.ts'
import { Table } from './table.tsx'
import { Traces } from './traces.tsx'

export function IntentDetail({ intent }: { intent: string }) {
  const { samples, last } = useLive()
  const counts = useResource<readonly IntentCount[]>('/statistics', 10_000)
  const history = samples.map(sample => sample.intents.find(one => one.intent === intent))
  const now = last?.intents.find(one => one.intent === intent)
  const times = samples.map(one => one.atMs / 1_000)
  return (
    <>
      <p className="trail"><a href={addressOf('intents')}>All intents</a> <span aria-hidden="true">/</span> <b>{intent}</b></p>
      <Tiles>
        <Tile label="Rate" value={rate(now?.perSecond ?? (last ? 0 : null))} note={now?.kind ?? 'not called in the last 10 s'} />
        <Tile label="Failed" value={rate(now?.failedPerSecond ?? (last ? 0 : null))} tone={now && now.failedPerSecond > 0 ? 'bad' : undefined} note={`${rate(now?.refusedPerSecond ?? 0)} refused, ${rate(now?.shedPerSecond ?? 0)} shed`} />
        <Tile label="p50" value={milliseconds(now?.p50Ms ?? null)} />
        <Tile label="p99" value={milliseconds(now?.p99Ms ?? null)} />
        <Tile label="Cache hits" value={percent(now?.cacheHits ?? null)} note={now && now.cacheHits === null ? 'nothing of it is kept' : ''} />
        <Tile label="Database" value={now ? milliseconds(now.statementMsPerCall) : '–'} note={now ? `${number(now.statementsPerCall)} statements per call` : ''} />
      </Tiles>
      <div className="pair">
        <Panel title="Calls"><Plot label="Per second" times={times} format={rate} lines={[
          { label: 'all', tone: 'accent', values: history.map(one => one?.perSecond ?? 0) },
          { label: 'failed', tone: 'bad', values: history.map(one => one?.failedPerSecond ?? 0) },
        ]} /></Panel>
        <Panel title="Latency"><Plot label="Time to the answer" times={times} format={milliseconds} lines={[
          { label: 'p50', tone: 'accent', values: history.map(one => one?.p50Ms ?? null) },
          { label: 'p99', tone: 'second', values: history.map(one => one?.p99Ms ?? null) },
        ]} /></Panel>
      </div>
      <Traces intent={intent} />
      <Panel title="Statements" note="since its processes started">
        <Loaded of={counts} what="statements">{all => {
          const texts = all.find(one => one.intent === intent)?.texts ?? []
          return texts.length === 0 ? <Empty>It has run no statement.</Empty> : (
            <Table label={`Statements of ${intent}`} rows={texts} keyOf={row => row.text} sort="runs" columns={[
              { name: 'text', label: 'Statement', show: row => <code className="sql">{row.text.trim()}</code> },
              { name: 'runs', label: 'Runs', numeric: true, value: row => row.runs, show: row => count(row.runs) },
              { name: 'perCall', label: 'Most per call', numeric: true, wide: true, value: row => row.perCallMax, show: row => count(row.perCallMax) },
            ]} />
          )
        }}</Loaded>
      </Panel>
    </>
  )
}
