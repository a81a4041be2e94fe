/** The page that whoever gets an alert reads: what it means, what to look at first, what helps. */
import type { Alert, Look } from './alert.ts'
import { seriesOf } from './series.ts'

export const runbookFile = ({ name }: Pick<Alert, 'name'>): string => `${name}.md`

export function runbook({ name, severity, expr, for: wait, means, look, mend }: Alert, job: string): string {
  const series = seriesOf(job)
  const code = (text: string, language: string) => `\`\`\`${language}\n${text}\n\`\`\``
  const one = ({ tells, query, command }: Look, index: number) =>
    `${index + 1}. ${tells.charAt(0).toUpperCase()}${tells.slice(1)}:\n\n${code(query ? query(series) : command!, query ? 'promql' : /^SELECT/.test(command!) ? 'sql' : 'sh').replace(/^/gm, '   ')}`
  return `# ${name}

Severity: ${severity}${severity === 'page' ? ', somebody must look now' : ', on the next working day'}.

${means}

## When it fires

${code(expr(series, job), 'promql')}

${wait ? `It counts after ${wait}` : 'It counts at once'}, and is over when this has no result any more.

## Look first

${look.map(one).join('\n\n')}

## What helps

${mend.map(one => `- ${one}`).join('\n')}
`
}
