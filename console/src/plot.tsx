/** Lines over time, by uPlot, in the colours of the theme. What it shows is said in words too. */
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useTheme } from './theme.ts'

export interface Line {
  readonly label: string
  readonly tone: 'accent' | 'second' | 'good' | 'warn' | 'bad'
  readonly values: readonly (number | null)[]
}

interface PlotProps {
  readonly label: string
  readonly times: readonly number[]
  readonly lines: readonly Line[]
  format(value: number | null): string
  readonly spanSeconds?: number
  /** Times are seconds from a beginning, not of the day. */
  readonly elapsed?: boolean
}

const height = 168
const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

function optionsOf({ lines, format, elapsed = false }: PlotProps, width: number): uPlot.Options {
  const axis = { stroke: colour('muted'), grid: { stroke: colour('line'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' }
  return {
    width, height, legend: { show: false }, cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    // A little headroom, and no noise drawn large when nothing happens.
    scales: { x: { time: !elapsed }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] } },
    axes: [
      { ...axis, space: 70, size: 30, values: (_, ticks) => ticks.map(tick => elapsed ? `${tick} s` : new Date(tick * 1_000).toLocaleTimeString('en-GB')) },
      { ...axis, size: 66, space: 34, values: (_, ticks) => withoutRepeats(ticks.map(format)) },
    ],
    series: [{}, ...lines.map(({ label, tone }) => ({ label, stroke: colour(tone), width: 2, points: { show: false }, spanGaps: false }))],
  }
}

/** Ticks closer than what the format tells apart. */
const withoutRepeats = (labels: readonly string[]): string[] => labels.map((label, index) => label === labels[index - 1] ? '' : label)

export function Plot(props: PlotProps) {
  const { label, times, lines, format, spanSeconds = 300, elapsed = false } = props
  const box = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | null>(null)
  const theme = useTheme()
  const names = lines.map(line => line.label + line.tone).join()
  useEffect(() => {
    const target = box.current!
    const made = new uPlot(optionsOf(props, target.clientWidth || 300), [[], ...lines.map(() => [])], target)
    chart.current = made
    const watcher = new ResizeObserver(() => made.setSize({ width: Math.max(120, target.clientWidth), height }))
    watcher.observe(target)
    return () => { watcher.disconnect(); made.destroy(); chart.current = null }
  }, [names, theme.shown])
  useEffect(() => {
    const last = elapsed ? Math.max(spanSeconds, times.at(-1) ?? 0) : times.at(-1) ?? Date.now() / 1_000
    chart.current?.setData([[...times], ...lines.map(line => [...line.values])] as uPlot.AlignedData, false)
    // The time axis is as long from the beginning: lines grow into it and nothing is stretched.
    chart.current?.batch(() => {
      chart.current!.setScale('x', { min: last - spanSeconds, max: last })
      const max = Math.max(0, ...lines.flatMap(line => line.values.map(value => value ?? 0)))
      chart.current!.setScale('y', { min: 0, max: max > 0 ? max * 1.15 : 1 })
    })
  })
  const spoken = lines.map(line => `${line.label} ${format(line.values.at(-1) ?? null)}`).join(', ')
  return (
    <figure className="plot">
      <figcaption>
        <span className="plot-title">{label}</span>
        {lines.map(line => <span key={line.label} className={`key ${line.tone}`}>{line.label} <b>{format(line.values.at(-1) ?? null)}</b></span>)}
      </figcaption>
      <div ref={box} className="plot-box" role="img" aria-label={`${label} over the last minutes, now: ${spoken}`} />
    </figure>
  )
}
