/** What stands where nothing else can: nothing there, not yet there, cannot be had, and what an action has done. */
import type { ReactNode } from 'react'
import type { Resource } from './resource.ts'

export const Empty = ({ children }: { children: ReactNode }) => <p className="empty">{children}</p>

export const Failure = ({ error, onRetry }: { error: Error; onRetry?: () => void }) => (
  <div className="failure" role="alert">
    <p>{error.message}</p>
    {onRetry && <button type="button" onClick={onRetry}>Try again</button>}
  </div>
)

export const Loading = ({ what = 'Loading' }: { what?: string }) => <p className="empty" role="status">{what} …</p>

/** Shows the resource once it is there; a failure beside what was known before. */
export function Loaded<T>({ of, what, children }: { of: Resource<T>; what: string; children: (data: T) => ReactNode }) {
  return (
    <>
      {of.error && <Failure error={of.error} onRetry={of.reload} />}
      {of.data !== null ? children(of.data) : of.loading ? <Loading what={`Loading ${what}`} /> : null}
    </>
  )
}
