/** The way in: begins the session, asks for the token where one is needed, then shows the console. */
import { useEffect, useState } from 'react'
import type { FormEvent } from 'react'
import { startLive } from './live.ts'
import { Failure, Loading } from './notice.tsx'
import { begin, login } from './session.ts'
import type { SessionFacts } from './session.ts'
import { Shell } from './shell.tsx'

const againMs = 2_000
let isLive = false

export function Gate() {
  const [facts, setFacts] = useState<SessionFacts | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    begin().then(found => { setFacts(found); setError(null) }, (failure: Error) => {
      setError(failure)
      timer = setTimeout(() => setTurn(one => one + 1), againMs)
    })
    return () => clearTimeout(timer)
  }, [turn])
  useEffect(() => {
    const expired = () => setFacts(before => before && { login: 'needed', csrf: null })
    window.addEventListener('tenfold-login', expired)
    return () => window.removeEventListener('tenfold-login', expired)
  }, [])
  const isIn = facts !== null && facts.login !== 'needed'
  useEffect(() => {
    if (!isIn || isLive) return
    isLive = true
    startLive()
  }, [isIn])
  if (isIn) return <Shell facts={facts} onLogout={() => setFacts({ login: 'needed', csrf: null })} />
  if (facts) return <Login onLogin={setFacts} />
  return <main className="gate"><h1>Tenfold console</h1>{error ? <Failure error={error} onRetry={() => setTurn(one => one + 1)} /> : <Loading what="Connecting" />}</main>
}

function Login({ onLogin }: { onLogin: (facts: SessionFacts) => void }) {
  const [token, setToken] = useState('')
  const [error, setError] = useState<Error | null>(null)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    login(token).then(onLogin, setError)
  }
  return (
    <main className="gate">
      <h1>Tenfold console</h1>
      <form onSubmit={submit}>
        <p>This deployment asks for its token. Where its data folder is, <code>tenfold console</code> prints it.</p>
        <label>Token<input type="password" autoComplete="current-password" required value={token} onChange={event => setToken(event.target.value)} /></label>
        {error && <Failure error={error} />}
        <button type="submit" className="accent">Enter</button>
      </form>
    </main>
  )
}
