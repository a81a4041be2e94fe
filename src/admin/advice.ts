/** Advice, as `tenfold advise` gives it: a look at what runs, and at the database, made in a process of its own: it imports the application, and ends. */
import { fork } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { fault } from '../base/errors.ts'
import { after } from '../base/time.ts'
import type { Deployment } from '../boot/deployment.ts'
import { nextTopologyOf } from '../boot/topology-folder.ts'
import { configuredOf } from '../insight/binding/configured.ts'
import type { AdviceQuestion, AdviceAnswer } from './adviser.ts'
import type { EvidenceDesk } from './evidence.ts'
import type { AdminRoute } from './route.ts'
import { statisticsOf } from './status.ts'

const adviserFile = fileURLToPath(new URL(`./adviser${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url))
const adviceMs = 60_000

export function adviceRoutes(deployment: Deployment, evidence: EvidenceDesk): AdminRoute[] {
  // Two who ask at once get one answer.
  let running: Promise<unknown> | undefined
  return [{ method: 'GET', path: '/advice', answer: () => running ??= ask(deployment, evidence).finally(() => { running = undefined }) }]
}

async function ask(deployment: Deployment, desk: EvidenceDesk) {
  const { source: { appFile, topologyFile }, databaseUrl, plan, topology } = deployment
  const evidence = await desk.watch()
  const configured = configuredOf(plan, topology, await nextTopologyOf(topologyFile))
  const question: AdviceQuestion = { appFile, topologyFile, databaseUrl, counts: await statisticsOf(deployment), evidence, configured }
  const child = fork(adviserFile, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const cancel = after(adviceMs, () => child.kill('SIGKILL'))
  try {
    const answer = await new Promise<AdviceAnswer>((resolve, reject) => {
      child.once('message', value => { resolve(value as AdviceAnswer) })
      child.once('error', reject)
      child.once('exit', code => { reject(fault('UNAVAILABLE', `the adviser ended with ${code ?? 'a signal'} and said nothing; see the log`)) })
      child.send(question)
    })
    if ('code' in answer) throw fault(answer.code, answer.message)
    return { ...answer, command: `tenfold advise --app ${path.relative(process.cwd(), appFile) || appFile} --topology ${deployment.plan.topology}` }
  } finally {
    cancel()
    child.kill()
  }
}
