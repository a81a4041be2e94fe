/** Advice: what is worth mending, by what it is known, and the command or migration that mends it. */
import type { Advice, Finding } from '../../src/insight/finding.ts'
import { BindingCard } from './binding-panel.tsx'
import { Empty, Loaded } from './notice.tsx'
import { Badge, Code, Panel } from './panel.tsx'
import { useResource } from './resource.ts'
import { addressOf } from './route.ts'
import type { Binding } from './shapes.ts'

export function AdvicePage() {
  const advice = useResource<Advice & Binding & { command: string }>('/advice')
  return (
    <>
      <Panel title="What binds, and what is worth mending" note="from requests of a few seconds, and from statements, plans, indexes and tables" actions={<button type="button" disabled={advice.loading} onClick={advice.reload}>Look again</button>}>
        <Loaded of={advice} what="advice (requests are watched for a few seconds)">{({ findings, notes, command, diagnosis, proposal }) => (
          <>
            <div className="findings"><BindingCard diagnosis={diagnosis} proposal={proposal} /></div>
            <h3>The database</h3>
            {findings.length === 0 && <Empty>Nothing: what was observed needs no mending.</Empty>}
            <ol className="findings">{findings.map((finding, index) => <li key={index}><FindingCard finding={finding} command={command} /></li>)}</ol>
            {notes.length > 0 && <div className="notes"><h3>Not looked at</h3><ul>{notes.map(note => <li key={note}>{note}</li>)}</ul></div>}
            <h3>The same in the terminal</h3>
            <Code text={command} label="command" />
          </>
        )}</Loaded>
      </Panel>
    </>
  )
}

function FindingCard({ finding: { kind, summary, intents, evidence, mend, migration, index }, command }: { finding: Finding; command: string }) {
  return (
    <article className="finding">
      <h3><Badge tone="warn">{kind.replace('-', ' ')}</Badge> {summary}</h3>
      {intents.length > 0 && <p>Of {intents.map((intent, index) => <span key={intent}>{index > 0 && ', '}<a href={addressOf('intents', intent)}>{intent}</a></span>)}</p>}
      <h4>Evidence</h4>
      <ul>{evidence.map(line => <li key={line}><code className="sql">{line}</code></li>)}</ul>
      <h4>Mend</h4>
      <p>{mend}</p>
      {migration && <><p>Add the file <code>{migration.service}/migrations/{migration.file}</code></p><Code text={migration.sql} label="migration" /></>}
      {index && <><p>To measure it first, and drop it again:</p><Code text={`${command} --prove`} label="command of the proof" /></>}
    </article>
  )
}
