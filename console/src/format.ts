/** Numbers for people: short, with their unit, the same width from one second to the next. */

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

/** As many digits as tell something. */
function short(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 10_000_000) return `${(value / 1_000_000).toFixed(0)} M`
  if (size >= 1_000_000) return `${(value / 1_000_000).toFixed(1)} M`
  if (size >= 10_000) return `${(value / 1_000).toFixed(0)} k`
  if (size >= 100) return grouped.format(value)
  if (size >= 10) return value.toFixed(1)
  return size >= 0.05 ? value.toFixed(1) : '< 0.1'
}

export const count = (value: number | null): string => value === null ? '–' : value >= 1_000_000 ? short(value) : grouped.format(value)
export const rate = (perSecond: number | null): string => perSecond === null ? '–' : `${short(perSecond)}/s`
export const number = (value: number | null): string => value === null ? '–' : short(value)
export const percent = (share: number | null): string => share === null ? '–' : `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`

export function milliseconds(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return '–'
  if (ms === 0) return '0 ms'
  if (ms < 10) return `${ms.toFixed(2)} ms`
  if (ms < 100) return `${ms.toFixed(1)} ms`
  if (ms < 1_000) return `${ms.toFixed(0)} ms`
  return duration(ms)
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`
  return `${Math.round(ms / 86_400_000)} days`
}

export function bytes(size: number | null): string {
  if (size === null) return '–'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let [value, unit] = [size, 0]
  while (value >= 1_024 && unit < units.length - 1) { value /= 1_024; unit++ }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`
}

export const time = (atMs: number): string => new Date(atMs).toLocaleTimeString('en-GB')
export const dateTime = (atMs: number): string => new Date(atMs).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
