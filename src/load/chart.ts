/**
 * Line charts for the report: the lines as SVG that stretches to any width, the labels as HTML
 * that does not, so that they can be read on a phone as well. No script.
 */

export interface Series { readonly name: string; readonly color: string; readonly points: readonly (readonly [x: number, y: number])[] }

export interface ChartOptions {
  readonly title: string
  readonly about: string
  readonly series: readonly Series[]
  /** Where the axis of x has a label, in the unit of the points. */
  readonly xTicks: readonly (readonly [x: number, label: string])[]
  readonly yText: (value: number) => string
  readonly isLogarithmic?: boolean
}

const size = 1_000

export function lineChart({ title, about, series, xTicks, yText, isLogarithmic = false }: ChartOptions): string {
  const all = series.flatMap(one => one.points)
  const shown = isLogarithmic ? all.filter(([, y]) => y > 0) : all
  if (shown.length === 0) return figure(title, about, '<p class="empty">Nothing to show.</p>', '')
  const [xMin, xMax] = extent([...shown.map(([x]) => x), ...xTicks.map(([x]) => x)])
  const yTicks = isLogarithmic ? logarithmicTicks(shown.map(([, y]) => y)) : linearTicks(shown.map(([, y]) => y))
  const scale = isLogarithmic ? Math.log10 : (value: number) => value
  const [yMin, yMax] = [scale(yTicks[0]!), scale(yTicks.at(-1)!)]
  const atX = (x: number) => (x - xMin) / (xMax - xMin || 1)
  const atY = (y: number) => 1 - (scale(y) - yMin) / (yMax - yMin || 1)
  const grid = yTicks.map(y => `<line x1="0" x2="${size}" y1="${round(atY(y))}" y2="${round(atY(y))}"/>`).join('')
  const lines = series.map(({ color, points }) => `<path style="stroke:var(--${color})" d="${pathOf(isLogarithmic ? points.filter(([, y]) => y > 0) : points, atX, atY)}"/>`).join('')
  const labels = yTicks.map(y => `<span class="y" style="top:${percentOf(atY(y))}">${yText(y)}</span>`).join('')
    + xTicks.map(([x, label]) => `<span class="x" style="left:${percentOf(atX(x))}">${label}</span>`).join('')
  const legend = series.map(({ name, color }) => `<li><i style="background:var(--${color})"></i>${name}</li>`).join('')
  const plot = `<div class="plot"><svg viewBox="0 0 ${size} ${size}" preserveAspectRatio="none" role="img" aria-label="${title}"><g class="grid">${grid}</g>${lines}</svg>${labels}</div>`
  return figure(title, about, plot, `<ul class="legend">${legend}</ul>`)
}

const figure = (title: string, about: string, plot: string, legend: string) => `<figure><figcaption><h2>${title}</h2><p>${about}</p>${legend}</figcaption>${plot}</figure>`
const round = (part: number) => Number((part * size).toFixed(1))
const percentOf = (part: number) => `${(part * 100).toFixed(2)}%`

function pathOf(points: Series['points'], atX: (x: number) => number, atY: (y: number) => number): string {
  return points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${round(atX(x))} ${round(atY(y))}`).join('')
}

const extent = (values: readonly number[]): [number, number] => values.reduce<[number, number]>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity])

/** From 0, in about four round steps. */
export function linearTicks(values: readonly number[]): number[] {
  const [, high] = extent([...values, 1])
  const rough = high / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map(factor => factor * power).find(one => one >= rough)!
  return Array.from({ length: Math.ceil(high / step - 1e-9) + 1 }, (_, index) => index * step)
}

/** 1, 2 and 5 of each decade while there are few, else the decades alone. */
export function logarithmicTicks(values: readonly number[]): number[] {
  const [low, high] = extent(values)
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high) + 1e-9)]
  const factors = last - first > 2 ? [1] : [1, 2, 5]
  const every = Array.from({ length: last - first + 1 }, (_, index) => factors.map(factor => factor * 10 ** (first + index))).flat()
  const from = every.findLastIndex(tick => tick <= low)
  const to = every.findIndex(tick => tick >= high)
  return every.slice(Math.max(0, from), (to < 0 ? every.length - 1 : Math.max(to, from + 1)) + 1)
}
