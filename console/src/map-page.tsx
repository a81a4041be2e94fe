/** The map of what runs: nodes in layers, edges with their rates, and what is near its limit. */
import { useEffect, useRef, useState } from 'react'
import type { Sample } from '../../src/admin/sample.ts'
import type { Plan, Status, Topology } from './shapes.ts'
import { Action } from './confirm.tsx'
import { milliseconds, number, percent, rate, time } from './format.ts'
import { useLive } from './live.ts'
import { graphOf } from './map-graph.ts'
import type { Graph, MapEdge, MapNode } from './map-graph.ts'
import { Empty, Loaded } from './notice.tsx'
import { Badge, Panel, Tile, Tiles } from './panel.tsx'
import { Plot } from './plot.tsx'
import { useResource } from './resource.ts'
import { addressOf } from './route.ts'
import { act } from './session.ts'
import { Table } from './table.tsx'

export function MapPage() {
  const plan = useResource<Plan>('/plan')
  const topology = useResource<Topology>('/topology')
  const { samples, last } = useLive()
  const times = samples.map(one => one.atMs / 1_000)
  return (
    <>
      <Tiles>
        <Tile label="Requests" value={rate(last?.http.perSecond ?? null)} />
        <Tile label="Failed" value={rate(last?.http.failedPerSecond ?? null)} note="answered 500 or above" tone={last && last.http.failedPerSecond > 0 ? 'bad' : undefined} />
        <Tile label="p50" value={milliseconds(last?.http.p50Ms ?? null)} note="half are faster, last 10 s" />
        <Tile label="p99" value={milliseconds(last?.http.p99Ms ?? null)} note="99 of 100 are faster" />
        <Tile label="Nearest to its limit" value={last?.pressure ? percent(last.pressure.share) : last ? 'nothing' : '–'} note={last?.pressure ? `${last.pressure.at}: ${last.pressure.resource}` : 'below 80 % everywhere'} tone={last?.pressure ? 'warn' : undefined} />
      </Tiles>
      <Panel title="What runs" note={topology.data?.about} actions={(
        <Action label="Restart processes" working="Restarting …" tone="accent" run={async () => { await act('POST', '/restart'); return 'All processes are new' }}
          question="Replace every process by a new one, one at a time, with the source as it is now? No request fails meanwhile." />
      )}>
        <div className="runs"><Loaded of={plan} what="the plan">{plan => <Loaded of={topology} what="the topology">{topology => <Diagram graph={graphOf(plan, topology, last)} />}</Loaded>}</Loaded></div>
      </Panel>
      {last && last.scaling.length > 0 && <Scaling wanted={last.scaling} />}
      <div className="pair">
        <Panel title="Requests"><Plot label="Requests per second" times={times} format={rate} lines={[
          { label: 'answered', tone: 'accent', values: samples.map(one => one.http.perSecond) },
          { label: 'failed', tone: 'bad', values: samples.map(one => one.http.failedPerSecond) },
        ]} /></Panel>
        <Panel title="Latency"><Plot label="Time to the answer" times={times} format={milliseconds} lines={[
          { label: 'p50', tone: 'accent', values: samples.map(one => one.http.p50Ms) },
          { label: 'p99', tone: 'second', values: samples.map(one => one.http.p99Ms) },
        ]} /></Panel>
      </div>
    </>
  )
}

const reasons: Readonly<Record<string, string>> = {
  load: 'the load there is', forecast: 'the load to come', 'recent load': 'fewer have not been enough for long', min: 'the fewest allowed', max: 'the most allowed',
}

/** What the autoscaler has decided, the newest first. */
function Scaling({ wanted }: { wanted: Sample['scaling'] }) {
  const status = useResource<Status>('/status', 5_000)
  return (
    <Panel title="Scaling" note={wanted.map(one => `${one.name}: ${one.wanted} wanted${one.isLimited ? ', and more than the topology allows' : ''}`).join('; ')}>
      <Loaded of={status} what="the decisions">{({ scaling = [] }) => scaling.length === 0 ? <Empty>No decision yet: as many run as are wanted.</Empty> : (
        <Table label="Decisions of the autoscaler" rows={scaling} keyOf={row => `${row.at} ${row.process}`} sort="at" columns={[
          { name: 'at', label: 'When', value: row => row.at, show: row => time(Date.parse(row.at)) },
          { name: 'process', label: 'Process', value: row => row.process, show: row => <b>{row.process}</b> },
          { name: 'to', label: 'From, to', numeric: true, show: row => `${row.from} → ${row.to}` },
          { name: 'reason', label: 'Because of', value: row => row.reason, show: row => reasons[row.reason] ?? row.reason },
          { name: 'load', label: 'Load, in busy processes', numeric: true, wide: true, value: row => row.load, show: row => number(row.load) },
          { name: 'forecast', label: 'To come', numeric: true, wide: true, value: row => row.forecast, show: row => number(row.forecast) },
        ]} />
      )}</Loaded>
    </Panel>
  )
}

const gap = 18
const narrowWidth = 760
const widthMax = 1_500
/** As high as what stands in it; a line more where something is near its limit. */
const heightOf = ({ facts, pressure }: MapNode): number => 66 + facts.length * 19 + (pressure ? 30 : 0)

interface Spot { readonly x: number; readonly y: number; readonly width: number; readonly height: number }

function spotsOf(nodes: readonly MapNode[], width: number): { spots: Map<string, Spot>; height: number } {
  const layers = [...Map.groupBy(nodes, one => one.layer)].sort(([a], [b]) => a - b).map(([, list]) => list)
  const nodeWidth = Math.min(236, Math.floor((width - 3 * 84) / 4))
  const tall = (list: readonly MapNode[]) => list.reduce((sum, one) => sum + heightOf(one), (list.length - 1) * gap)
  const height = Math.max(...layers.map(tall))
  const spots = new Map<string, Spot>()
  for (const [layer, list] of layers.entries()) {
    const x = layer * (width - nodeWidth) / Math.max(1, layers.length - 1)
    let y = (height - tall(list)) / 2
    for (const node of list) {
      spots.set(node.id, { x, y, width: nodeWidth, height: heightOf(node) })
      y += heightOf(node) + gap
    }
  }
  return { spots, height }
}

function Diagram({ graph }: { graph: Graph }) {
  const box = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)))
    watcher.observe(box.current!)
    return () => watcher.disconnect()
  }, [])
  return (
    <div ref={box} className="map">
      {width === 0 ? null : width < narrowWidth ? <Stack graph={graph} /> : <Layers graph={graph} width={Math.min(width, widthMax)} />}
    </div>
  )
}

function Layers({ graph: { nodes, edges }, width }: { graph: Graph; width: number }) {
  const { spots, height } = spotsOf(nodes, width)
  return (
    <div className="layers" style={{ height, width }}>
      <svg width={width} height={height} aria-hidden="true">
        {edges.map(edge => <Edge key={`${edge.from} ${edge.to}`} edge={edge} edges={edges} spots={spots} />)}
      </svg>
      <ul>
        {nodes.map(node => {
          const spot = spots.get(node.id)!
          return <li key={node.id} style={{ left: spot.x, top: spot.y, width: spot.width, height: spot.height }}><Node node={node} edges={edges} /></li>
        })}
      </ul>
    </div>
  )
}

/** Where the lines of one side of a node end: spread, so that none lies on another. */
function portOf(spot: Spot, index: number, ports: number): number {
  return spot.y + spot.height * (index + 1) / (ports + 1)
}

function Edge({ edge, edges, spots }: { edge: MapEdge; edges: readonly MapEdge[]; spots: Map<string, Spot> }) {
  const [from, to] = [spots.get(edge.from), spots.get(edge.to)]
  if (!from || !to) return null
  const [leaving, coming] = [edges.filter(one => one.from === edge.from), edges.filter(one => one.to === edge.to)]
  if (from.x === to.x) return <path className="edge" d={`M${from.x + from.width / 2} ${from.y + from.height} V${to.y}`} />
  const [x1, y1] = [from.x + from.width, portOf(from, leaving.indexOf(edge), leaving.length)]
  const [x2, y2] = [to.x, portOf(to, coming.indexOf(edge), coming.length)]
  const middle = (x1 + x2) / 2
  const busy = (edge.perSecond ?? 0) > 0
  // At the end where there are more places for it.
  const atStart = leaving.length > 1 ? spots.get(leaving[0]!.from)!.x > 0 && leaving.length <= 4 : true
  const isFan = edge.from === 'ingress'
  return (
    <g className={busy ? 'busy' : ''}>
      <path className="edge" d={`M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`} />
      <text className="edge-label" x={isFan ? x2 - 8 : x1 + 8} y={(isFan || !atStart ? y2 : y1) - 6} textAnchor={isFan ? 'end' : 'start'}>{edge.perSecond === null ? '' : rate(edge.perSecond)}</text>
    </g>
  )
}

function Stack({ graph: { nodes, edges } }: { graph: Graph }) {
  return <ul className="stack">{nodes.map(node => <li key={node.id}><Node node={node} edges={edges} spoken /></li>)}</ul>
}

/** The edges are lines for the eye; in the stack, and to who hears the page, they are words. */
function Node({ node, edges, spoken = false }: { node: MapNode; edges: readonly MapEdge[]; spoken?: boolean }) {
  const { title, kind, tone, state, facts, pressure, page } = node
  const out = edges.filter(one => one.from === node.id && one.perSecond !== null)
  return (
    <article className={`node ${pressure ? 'pressed' : ''}`}>
      <header>
        <h3>{page ? <a href={addressOf(page)}>{title}</a> : title}</h3>
        {state && <Badge tone={tone}>{state}</Badge>}
      </header>
      <p className="kind">{kind}</p>
      {pressure && <p className="pressure"><Badge tone="warn">near its limit: {pressure}</Badge></p>}
      <dl>{facts.map(([label, value]) => <div key={label}><dt>{label}</dt><dd>{value}</dd></div>)}</dl>
      <ul className={spoken ? 'out' : 'hidden'}>{out.map(one => <li key={one.to}>{rate(one.perSecond)} {one.what}</li>)}</ul>
    </article>
  )
}
