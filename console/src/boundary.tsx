/** Shows a fault in the page itself, instead of nothing. */
import { Component } from 'react'
import type { ReactNode } from 'react'

export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null }
  static getDerivedStateFromError(error: Error) { return { error } }
  override render() {
    const { error } = this.state
    if (!error) return this.props.children
    return (
      <main className="gate" role="alert">
        <h1>The console has a fault</h1>
        <pre>{error.message}</pre>
        <button type="button" onClick={() => location.reload()}>Load it again</button>
      </main>
    )
  }
}
