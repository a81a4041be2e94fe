/** Where the time of a request may go: values of a label, and parts of the advisor's evidence. */

/** `own`: on the event loop, or waiting for what Tenfold does not see. */
export const places = ['own', 'pool', 'statement', 'commit', 'read-models', 'broadcast', 'cache'] as const
export type Place = typeof places[number]
