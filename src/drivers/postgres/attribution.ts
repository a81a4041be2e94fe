/**
 * Marks the runtime's own statements, as the runtime marks those of intents: a trailing
 * comment by which pg_stat_statements, pg_stat_activity and the log show whose it is.
 */
export const ofRuntime = (part: string, text: string): string => `${text} /*intent='tenfold.${part}'*/`
