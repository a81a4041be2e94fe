/** The arithmetic of a bucket that fills evenly: what is left of it when it will be full again after a while. */

export interface Bucket { readonly limit: number; readonly windowMs: number }

/** `fullMs` is the time until the bucket is full, after one was taken or refused. */
export function allowanceOf(allowed: boolean, fullMs: number, { limit, windowMs }: Bucket) {
  const oneMs = windowMs / limit
  const remaining = Math.max(0, Math.floor((windowMs - fullMs) / oneMs + 1e-9))
  return { allowed, remaining, fullMs: Math.max(0, fullMs), retryMs: remaining > 0 ? 0 : Math.max(0, fullMs + oneMs - windowMs) }
}
