/** What binds: the one resource, by what it is known, what it is not, and the step with its command. */
import { Badge, Code } from './panel.tsx'
import type { Binding } from './shapes.ts'

const factor = (value: number): string => value < 10 ? value.toFixed(1) : value.toFixed(0)

export function BindingCard({ diagnosis: { verdict, summary, evidence, runnersUp }, proposal: { kind, text, why, command, gain } }: Binding) {
  return (
    <article className="finding" aria-label="What binds">
      <h3><Badge tone={verdict === 'none' ? 'good' : 'warn'}>{verdict.replace('-', ' ')}</Badge> {summary}</h3>
      <h4>Evidence</h4>
      <ul>{evidence.map(line => <li key={line}>{line}</li>)}</ul>
      {runnersUp.length > 0 && <><h4>Not</h4><ul>{runnersUp.map(({ resource, at, msPerRequest, why }) => <li key={resource + at}>{resource} {at}, {msPerRequest.toFixed(1)} ms of a request: {why}</li>)}</ul></>}
      <h4>Step</h4>
      <p>{text}</p>
      {why.map(line => <p key={line}>{line}</p>)}
      {command !== null && <Code text={command} label="command of the step" />}
      {kind !== 'nothing' && <p>Requests get {factor(gain[0])} to {factor(gain[1])} times as quick, with as many under way.</p>}
    </article>
  )
}
