/** The pieces that pages are laid out with. */
import { useId, useState } from 'react'
import type { ReactNode } from 'react'

export function Panel({ title, note, actions, children }: { title: string; note?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  const id = useId()
  return (
    <section className="panel" aria-labelledby={id}>
      <header className="panel-head">
        <h2 id={id}>{title}</h2>
        {note !== undefined && <span className="note">{note}</span>}
        {actions && <span className="actions">{actions}</span>}
      </header>
      {children}
    </section>
  )
}

export const Tiles = ({ children }: { children: ReactNode }) => <dl className="tiles">{children}</dl>

export function Tile({ label, value, note, tone }: { label: string; value: string; note?: string; tone?: 'bad' | 'warn' | undefined }) {
  return (
    <div className={`tile ${tone ?? ''}`}>
      <dt>{label}</dt>
      <dd className="value">{value}</dd>
      <dd className="note">{note ?? '\u00a0'}</dd>
    </div>
  )
}

export const Badge = ({ tone = 'plain', children }: { tone?: 'plain' | 'good' | 'warn' | 'bad' | 'accent' | undefined; children: ReactNode }) => <span className={`badge ${tone}`}>{children}</span>

export function Code({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false)
  const copy = () => void navigator.clipboard.writeText(text).then(() => {
    setCopied(true)
    setTimeout(() => setCopied(false), 1_500)
  })
  return (
    <div className="code">
      <pre tabIndex={0} aria-label={label}>{text}</pre>
      {'clipboard' in navigator && <button type="button" className="copy" onClick={copy} aria-label={`Copy ${label}`}>{copied ? 'Copied' : 'Copy'}</button>}
    </div>
  )
}
