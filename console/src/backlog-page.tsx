/** Jobs and events: how much waits and how late it is, what has failed, and another try for it. */
import type { DeadLetter, Depth } from '../../src/ports/bus.ts'
import type { DeadJob, QueueDepth } from '../../src/ports/queue.ts'
import { Action } from './confirm.tsx'
import { bytes, count, dateTime, duration, percent, rate } from './format.ts'
import { useLive } from './live.ts'
import { Empty, Loaded } from './notice.tsx'
import { Badge, Code, Panel, Tile, Tiles } from './panel.tsx'
import { Plot } from './plot.tsx'
import { useResource } from './resource.ts'
import { act } from './session.ts'
import { Table } from './table.tsx'

type ConsumerState = Depth & { readonly name: string; readonly on: readonly string[] | null }

export function BacklogPage() {
  const jobs = useResource<{ depth: QueueDepth; dead: readonly DeadJob[] }>('/jobs', 3_000)
  const events = useResource<{ consumers: readonly ConsumerState[] }>('/events', 3_000)
  const letters = useResource<{ deadLetters: readonly DeadLetter[] }>('/dead-letters', 3_000)
  const depth = jobs.data?.depth ?? null
  const consumers = events.data?.consumers ?? null
  const sum = (of: (one: ConsumerState) => number) => consumers === null ? null : consumers.reduce((total, one) => total + of(one), 0)
  const [parked, dead] = [sum(one => one.parked), sum(one => one.dead)]
  return (
    <>
      <Tiles>
        <Tile label="Jobs waiting" value={count(depth?.waiting ?? null)} note={depth && depth.oldestAgeMs > 0 ? `the oldest for ${duration(depth.oldestAgeMs)}` : 'none is late'} />
        <Tile label="Jobs running" value={count(depth?.running ?? null)} />
        <Tile label="Jobs scheduled" value={count(depth?.scheduled ?? null)} note="due later, retries too" />
        <Tile label="Jobs dead" value={count(depth?.dead ?? null)} tone={depth?.dead ? 'bad' : undefined} />
        <Tile label="Events waiting" value={count(sum(one => one.waiting))} note={consumers ? `lag ${duration(Math.max(0, ...consumers.map(one => one.oldestAgeMs)))}` : ''} />
        <Tile label="Events failed" value={count(parked)} note="tried again by themselves" tone={parked ? 'warn' : undefined} />
        <Tile label="Dead letters" value={count(dead)} tone={dead ? 'bad' : undefined} />
      </Tiles>
      <Flow />
      <Panel title="Dead letters" note="events that were given up after their last attempt" actions={letters.data && letters.data.deadLetters.length > 1 && <ReplayAll letters={letters.data.deadLetters} onDone={letters.reload} />}>
        <Loaded of={letters} what="dead letters">{({ deadLetters }) => <DeadLetters letters={deadLetters} onDone={() => { letters.reload(); events.reload() }} />}</Loaded>
      </Panel>
      <Panel title="Dead jobs" note="jobs that were given up after their last attempt">
        <Loaded of={jobs} what="dead jobs">{({ dead }) => <DeadJobs jobs={dead} onDone={jobs.reload} />}</Loaded>
      </Panel>
      <Broker />
      <Panel title="Consumers" note="who reads the log of events">
        <Loaded of={events} what="consumers">{({ consumers }) => <Consumers consumers={consumers} />}</Loaded>
      </Panel>
    </>
  )
}

function Flow() {
  const { samples } = useLive()
  const times = samples.map(one => one.atMs / 1_000)
  const worked = (of: 'eventsPerSecond' | 'jobsPerSecond') => samples.map(one => one.processes.reduce((sum, { use }) => sum + (use?.[of] ?? 0), 0))
  return (
    <div className="pair">
      <Panel title="Handled"><Plot label="Per second" times={times} format={rate} lines={[
        { label: 'events', tone: 'accent', values: worked('eventsPerSecond') }, { label: 'jobs', tone: 'second', values: worked('jobsPerSecond') },
      ]} /></Panel>
      <Panel title="Waiting"><Plot label="Waiting" times={times} format={value => value === null ? '–' : count(Math.round(value))} lines={[
        { label: 'events', tone: 'accent', values: samples.map(one => one.consumers?.reduce((sum, { waiting }) => sum + waiting, 0) ?? null) },
        { label: 'jobs', tone: 'second', values: samples.map(one => one.queue?.waiting ?? null) },
      ]} /></Panel>
    </div>
  )
}

/** What the broker keeps, where there is one. */
function Broker() {
  const broker = useLive().last?.broker ?? null
  if (!broker) return null
  return (
    <Panel title="Broker" note={broker.isUp ? 'streams of NATS; handled events are kept until they are old or room is needed' : 'it does not answer: events and jobs wait in the database'}>
      {broker.streams.length === 0 ? <Empty>It tells nothing of its streams.</Empty> : (
        <Table label="Streams of the broker" rows={broker.streams} keyOf={row => row.name} sort="stream" ascending columns={[
          { name: 'stream', label: 'Stream', value: row => row.name, show: row => <>{row.name} {row.copiesMissing > 0 && <Badge tone="warn">lacks {row.copiesMissing}</Badge>}</> },
          { name: 'messages', label: 'Messages', numeric: true, value: row => row.messages, show: row => count(row.messages) },
          { name: 'bytes', label: 'Kept', numeric: true, value: row => row.bytes, show: row => bytes(row.bytes) },
          { name: 'share', label: 'Of its room', numeric: true, value: row => row.bytesMax === null ? null : row.bytes / row.bytesMax, show: row => row.bytesMax === null ? 'no limit' : percent(row.bytes / row.bytesMax) },
        ]} />
      )}
    </Panel>
  )
}

function ReplayAll({ letters, onDone }: { letters: readonly DeadLetter[]; onDone: () => void }) {
  const consumers = [...new Set(letters.map(one => one.consumer))]
  return (
    <Action label="Replay all" question={`Deliver all dead letters of ${consumers.join(', ')} again? Mend what made them fail first, or they fail again.`} run={async () => {
      let replayed = 0
      for (const consumer of consumers) replayed += (await act<{ replayed: number }>('POST', `/dead-letters/${encodeURIComponent(consumer)}/replay`)).replayed
      onDone()
      return `${count(replayed)} delivered again`
    }} />
  )
}

function DeadLetters({ letters, onDone }: { letters: readonly DeadLetter[]; onDone: () => void }) {
  if (letters.length === 0) return <Empty>None: every event was handled, or is being tried.</Empty>
  return (
    <Table label="Dead letters" rows={letters} keyOf={row => `${row.consumer} ${row.message.id}`} sort="at" columns={[
      { name: 'event', label: 'Event', value: row => row.message.name, show: row => <><b>{row.message.name}</b> <small>for {row.consumer}</small><Payload value={row.message.payload} error={row.error} /></> },
      { name: 'attempts', label: 'Attempts', numeric: true, wide: true, value: row => row.attempts, show: row => count(row.attempts) },
      { name: 'at', label: 'Given up', value: row => row.atMs, show: row => dateTime(row.atMs), wide: true },
      { name: 'replay', label: 'Again', show: row => <Action label="Replay" describedAs={`Replay ${row.message.name} for ${row.consumer}`} run={async () => {
        await act('POST', `/dead-letters/${encodeURIComponent(row.consumer)}/${encodeURIComponent(row.message.id)}/replay`)
        onDone()
        return 'Delivered again'
      }} /> },
    ]} />
  )
}

function DeadJobs({ jobs, onDone }: { jobs: readonly DeadJob[]; onDone: () => void }) {
  if (jobs.length === 0) return <Empty>None: every job was done, or is being tried.</Empty>
  return (
    <Table label="Dead jobs" rows={jobs} keyOf={row => row.job.id} sort="job" ascending columns={[
      { name: 'job', label: 'Job', value: row => row.job.name, show: row => <><b>{row.job.name}</b> <small>{row.job.id}</small><Payload value={row.job.payload} error={row.error} /></> },
      { name: 'attempts', label: 'Attempts', numeric: true, wide: true, value: row => row.attempts, show: row => count(row.attempts) },
      { name: 'retry', label: 'Again', show: row => <Action label="Retry" describedAs={`Retry ${row.job.name} ${row.job.id}`} run={async () => {
        await act('POST', `/jobs/${encodeURIComponent(row.job.id)}/retry`)
        onDone()
        return 'Runs again'
      }} /> },
    ]} />
  )
}

const Payload = ({ value, error }: { value: unknown; error: string }) => (
  <details>
    <summary className="bad-text">{error.split('\n')[0] || 'without a message'}</summary>
    {error.includes('\n') && <Code text={error} label="error" />}
    <Code text={JSON.stringify(value, null, 2) ?? 'null'} label="payload" />
  </details>
)

function Consumers({ consumers }: { consumers: readonly ConsumerState[] }) {
  return (
    <Table label="Consumers" rows={consumers} keyOf={row => row.name} sort="consumer" ascending columns={[
      { name: 'consumer', label: 'Consumer', value: row => row.name, show: row => <>{row.name} {row.dead > 0 && <Badge tone="bad">{row.dead} dead</Badge>}</> },
      { name: 'on', label: 'Reads', wide: true, show: row => row.on === null ? 'jobs' : row.on.join(', ') || 'invalidations' },
      { name: 'waiting', label: 'Waiting', numeric: true, value: row => row.waiting, show: row => count(row.waiting) },
      { name: 'lag', label: 'Lag', numeric: true, value: row => row.oldestAgeMs, show: row => duration(row.oldestAgeMs) },
      { name: 'parked', label: 'Tried again', numeric: true, value: row => row.parked, show: row => count(row.parked) },
    ]} />
  )
}
