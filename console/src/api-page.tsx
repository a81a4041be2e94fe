/** The API of the application, as its own OpenAPI document says. */
import { useState } from 'react'
import { Empty, Loaded } from './notice.tsx'
import { Badge, Code, Panel } from './panel.tsx'
import { useResource } from './resource.ts'
import { addressOf } from './route.ts'

interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly security?: unknown
  readonly parameters?: readonly unknown[]
  readonly requestBody?: unknown
  readonly responses?: unknown
}
interface OpenApi {
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

export function ApiPage() {
  const api = useResource<OpenApi>('/openapi.json')
  const status = useResource<{ url: string }>('/status')
  const [text, setText] = useState('')
  return (
    <Loaded of={api} what="the API">{({ info, paths }) => {
      const all = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })))
      const found = all.filter(({ path, method, operation }) => `${method} ${path} ${operation.operationId ?? ''}`.toLowerCase().includes(text.toLowerCase()))
      const groups = [...Map.groupBy(found, one => one.operation.tags?.[0] ?? 'other')]
      return (
        <Panel title={`${info.title} ${info.version}`} note={status.data && <><a href={`${status.data.url}/docs`} target="_blank" rel="noreferrer">its own page</a> · <a href={`${status.data.url}/openapi.json`} target="_blank" rel="noreferrer">OpenAPI document</a></>} actions={
          <label className="search"><span className="hidden">Find an operation</span><input type="search" placeholder="Find an operation" value={text} onChange={event => setText(event.target.value)} /></label>
        }>
          {all.length === 0 ? <Empty>The application has no HTTP routes.</Empty> : found.length === 0 && <Empty>No operation has “{text}” in it.</Empty>}
          {groups.map(([tag, operations]) => (
            <section key={tag} className="operations">
              <h3>{tag}</h3>
              {operations.map(({ path, method, operation }) => (
                <details key={`${method} ${path}`}>
                  <summary><Badge tone="accent">{method.toUpperCase()}</Badge> <code>{path}</code> {operation.security !== undefined && <Badge>caller</Badge>}</summary>
                  {operation.summary && <p>{operation.summary}</p>}
                  {operation.operationId && <p>Intent <a href={addressOf('intents', operation.operationId)}>{operation.operationId}</a></p>}
                  {operation.parameters && operation.parameters.length > 0 && <><h4>Parameters</h4><Code text={JSON.stringify(operation.parameters, null, 2)} label="parameters" /></>}
                  {operation.requestBody !== undefined && <><h4>Body</h4><Code text={JSON.stringify(operation.requestBody, null, 2)} label="body" /></>}
                  {operation.responses !== undefined && <><h4>Answers</h4><Code text={JSON.stringify(operation.responses, null, 2)} label="answers" /></>}
                </details>
              ))}
            </section>
          ))}
        </Panel>
      )
    }}</Loaded>
  )
}
