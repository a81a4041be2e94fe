/** A button whose action is asked about first, runs once at a time, and says how it went. */
import { useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'

interface ActionProps {
  readonly label: string
  readonly working?: string
  /** Asked before it is done; absent for what harms nothing. */
  readonly question?: ReactNode
  readonly tone?: 'bad' | 'accent'
  readonly describedAs?: string
  readonly disabled?: boolean
  run(): Promise<string | void>
}

export function Action({ label, working = `${label} …`, question, tone, describedAs, disabled = false, run }: ActionProps) {
  const [state, setState] = useState<'idle' | 'asking' | 'working'>('idle')
  const [outcome, setOutcome] = useState<{ good: boolean; text: string } | null>(null)
  const dialog = useRef<HTMLDialogElement>(null)
  const alive = useRef(true)
  useEffect(() => { alive.current = true; return () => { alive.current = false } }, [])
  useEffect(() => {
    if (state === 'asking') dialog.current?.showModal()
    else dialog.current?.close()
  }, [state])
  const work = async () => {
    setState('working')
    setOutcome(null)
    const result = await run().then(text => ({ good: true, text: text ?? 'Done' }), (error: Error) => ({ good: false, text: error.message }))
    if (!alive.current) return
    setState('idle')
    setOutcome(result)
  }
  return (
    <span className="action">
      <button type="button" className={tone ?? ''} disabled={disabled || state === 'working'} aria-label={describedAs} onClick={() => question ? setState('asking') : void work()}>
        {state === 'working' ? working : label}
      </button>
      {outcome && <span className={`outcome ${outcome.good ? 'good' : 'bad'}`} role="status">{outcome.text}</span>}
      {question && (
        <dialog ref={dialog} aria-label={label} onCancel={() => setState('idle')}>
          {state === 'asking' && (
            <>
              <p>{question}</p>
              <div className="dialog-buttons">
                <button type="button" onClick={() => setState('idle')}>Cancel</button>
                <button type="button" className={tone ?? 'accent'} onClick={() => void work()}>{label}</button>
              </div>
            </>
          )}
        </dialog>
      )}
    </span>
  )
}
