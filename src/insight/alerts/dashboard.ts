/** A dashboard of Grafana as it reads it from a file: rows of panels over one Prometheus. */

export interface Query { readonly expr: string; readonly legend: string }

export interface Panel {
  readonly title: string
  /** Grafana's name of a unit: s, bytes, reqps, percentunit, short. */
  readonly unit: string
  readonly queries: readonly Query[]
  readonly about?: string
}

export interface Variable { readonly name: string; readonly query: string }

const columns = 2
const width = 24 / columns
const height = 8

export function dashboard(uid: string, title: string, panels: readonly Panel[], variables: readonly Variable[] = []): object {
  return {
    uid, title, tags: ['tenfold'], schemaVersion: 38, version: 1, editable: true, refresh: '30s', time: { from: 'now-3h', to: 'now' }, timezone: 'browser',
    templating: { list: [
      { name: 'source', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
      ...variables.map(({ name, query }) => ({ name, type: 'query', datasource, query: { query, refId: name }, refresh: 2, sort: 1, includeAll: true, multi: true, current: { text: 'All', value: '$__all' } })),
    ] },
    panels: panels.map(panelJson),
  }
}

const datasource = { type: 'prometheus', uid: '${source}' } as const

function panelJson({ title, unit, queries, about }: Panel, index: number): object {
  return {
    id: index + 1, type: 'timeseries', title, ...about ? { description: about } : {}, datasource,
    gridPos: { x: (index % columns) * width, y: Math.floor(index / columns) * height, w: width, h: height },
    fieldConfig: { defaults: { unit, min: 0, custom: { lineWidth: 1, fillOpacity: 5, showPoints: 'never' } }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(({ expr, legend }, at) => ({ refId: String.fromCharCode(65 + at), datasource, expr, legendFormat: legend })),
  }
}
