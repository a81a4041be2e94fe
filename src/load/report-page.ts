/** A load run as one HTML file that stands alone: figures, plots and tables, without script and without anything from elsewhere. */
import { lineChart } from './chart.ts'
import type { Series } from './chart.ts'
import { percent } from './report.ts'
import type { LoadProgress, LoadReport } from './report.ts'
import { reportStyle } from './report-style.ts'
import { durationText, generatorText, stepCells, stepHeads } from './report-text.ts'

const escape = (text: string) => text.replace(/[&<>"]/g, mark => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[mark]!)
const whole = (value: number) => Math.round(value).toLocaleString('en')
const milliseconds = (ms: number) => ms >= 1_000 ? `${Number((ms / 1_000).toPrecision(3))} s` : `${Number(ms.toPrecision(3))} ms`

export function reportPage(report: LoadReport): string {
  const { url, load, at, seconds } = report
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>Load on ${escape(url)}</title>
<style>${reportStyle}</style>
</head>
<body>
<main>
<header><h1>Load on ${escape(url)}</h1><p>${escape(load)} for ${Number(seconds.toFixed(1))} s, begun ${escape(at.slice(0, 19).replace('T', ' '))} UTC${report.isAborted ? ', ended early' : ''}</p></header>
${warnings(report)}
${tiles(report)}
<div class="charts">
${throughputChart(report.timeline)}
${latencyChart(report.timeline)}
${distributionChart(report)}
${usersChart(report.timeline)}
</div>
${codes(report)}
${stepTable(report)}
<footer><p>${escape(generatorText(report))}. Latencies are of good answers, from the moment each request was meant to be sent; percentiles within 0.28 %.</p></footer>
</main>
</body>
</html>
`
}

function warnings({ generator }: LoadReport): string {
  const said: string[] = []
  if (generator.isBound) said.push(`<p class="warning" role="alert"><strong>Generator-bound.</strong> ${escape(generator.why!)}. These latencies are the generator's, not the server's.</p>`)
  if (generator.waitedShare > 0.01) said.push(`<p class="warning">${percent(generator.waitedShare)} of the requests waited for a free connection; the wait is in their latency.</p>`)
  return said.join('\n')
}

function tiles({ offeredPerSecond, goodPerSecond, total, journeys, acknowledged }: LoadReport): string {
  const bad = total.refused + total.failed
  const list: [string, string][] = [
    ['offered', `${whole(offeredPerSecond)}/s`], ['good', `${whole(goodPerSecond)}/s`], ['p50', durationText(total.p50Ms)], ['p99', durationText(total.p99Ms)], ['p99.9', durationText(total.p999Ms)],
    ['refused', whole(total.refused)], ['errors', whole(total.failed)], ['not good', percent(total.answers === 0 ? 0 : bad / total.answers)],
    ['journeys finished', `${whole(journeys.finished)} of ${whole(journeys.started)}`], ['writes in ledger', whole(acknowledged)],
  ]
  return `<dl class="tiles">${list.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join('')}</dl>`
}

/** About six labels, at round seconds. */
function timeTicks(timeline: readonly LoadProgress[]): [number, string][] {
  const last = timeline.at(-1)?.second ?? 0
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600].find(one => last / one <= 6) ?? last
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, index) => [index * step, step >= 60 ? `${index * step / 60} min` : `${index * step} s`])
}

const over = (timeline: readonly LoadProgress[], name: string, color: string, pick: (one: LoadProgress) => number): Series => ({ name, color, points: timeline.map(one => [one.second, pick(one)]) })

function throughputChart(timeline: readonly LoadProgress[]): string {
  return lineChart({
    title: 'Throughput', about: 'Requests per second', xTicks: timeTicks(timeline), yText: whole,
    series: [over(timeline, 'offered', 'muted', one => one.offered), over(timeline, 'good', 'blue', one => one.good), over(timeline, 'refused', 'amber', one => one.refused), over(timeline, 'errors', 'red', one => one.failed)],
  })
}

function latencyChart(timeline: readonly LoadProgress[]): string {
  return lineChart({
    title: 'Latency over time', about: 'Of each second; logarithmic', xTicks: timeTicks(timeline), yText: milliseconds, isLogarithmic: true,
    series: [over(timeline, 'p50', 'blue', one => one.p50Ms), over(timeline, 'p90', 'amber', one => one.p90Ms), over(timeline, 'p99', 'red', one => one.p99Ms)],
  })
}

/** By how many are slower: one in 2, in 10, in 100 …, so that the tail has as much room as the rest. */
function distributionChart({ total }: LoadReport): string {
  const count = total.histogram.reduce((sum, [, of]) => sum + of, 0)
  let seen = 0
  const points = total.histogram.map(([ms, of]): [number, number] => [-Math.log10(Math.max(1 - (seen += of) / count, 0.5 / count)), ms])
  const ticks = [0, 50, 90, 99, 99.9, 99.99, 99.999].filter(one => one === 0 || 1 - one / 100 >= 1 / count)
  return lineChart({
    title: 'Latency distribution', about: 'Percentiles; logarithmic on both axes', yText: milliseconds, isLogarithmic: true,
    xTicks: ticks.map(one => [-Math.log10(1 - one / 100), one === 0 ? '0' : `p${one}`]), series: [{ name: 'all steps', color: 'blue', points }],
  })
}

function usersChart(timeline: readonly LoadProgress[]): string {
  return lineChart({
    title: 'Users and requests in flight', about: 'At the end of each second', xTicks: timeTicks(timeline), yText: whole,
    series: [over(timeline, 'users', 'blue', one => one.users), over(timeline, 'in flight', 'red', one => one.inFlight)],
  })
}

function codes({ total }: LoadReport): string {
  const list = Object.entries(total.byCode).sort()
  const most = Math.max(1, ...list.map(([, count]) => count))
  const colorOf = (code: string) => code === '429' || code === '503' ? 'amber' : Number(code) < 400 ? 'blue' : 'red'
  const rows = list.map(([code, count]) => `<tr><th scope="row">${escape(code)}</th><td class="number">${whole(count)}</td><td class="bar"><i style="width:${(count / most * 100).toFixed(2)}%;background:var(--${colorOf(code)})"></i></td></tr>`)
  return `<section><h2>Answers by code</h2><table class="codes"><thead><tr><th scope="col">code</th><th scope="col" class="number">answers</th><td></td></tr></thead><tbody>${rows.join('')}</tbody></table></section>`
}

function stepTable({ steps, total }: LoadReport): string {
  const row = (cells: readonly string[]) => `<tr>${cells.map((cell, index) => index === 0 ? `<th scope="row">${escape(cell)}</th>` : `<td class="number">${escape(cell)}</td>`).join('')}</tr>`
  const head = stepHeads.map((one, index) => `<th scope="col"${index === 0 ? '' : ' class="number"'}>${one}</th>`).join('')
  return `<section><h2>Steps</h2><div class="scroll" tabindex="0" role="region" aria-label="Steps"><table><thead><tr>${head}</tr></thead><tbody>${steps.map(one => row(stepCells(one))).join('')}</tbody><tfoot>${row(stepCells(total))}</tfoot></table></div></section>`
}
