/**
 * The ceiling: bare node:http answering constant bytes, as many as a list of 20 has.
 * PROCESSES of them share a port, as the processes of a topology do.
 */
import cluster from 'node:cluster'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const processes = Number(process.env.PROCESSES ?? 1)
const signals = ['SIGTERM', 'SIGINT'] as const

function serve(port: number): void {
  const bytes = Buffer.from(JSON.stringify({ text: 'x'.repeat(Number(process.env.BYTES ?? 8_000)) }))
  const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': bytes.length }
  const server = createServer((_request, response) => { response.writeHead(200, headers).end(bytes) })
  server.listen(port, '127.0.0.1', () => {
    if (cluster.isPrimary) process.stdout.write(`ready http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
  })
  for (const signal of signals) process.once(signal, () => { server.close(); server.closeAllConnections(); if (cluster.isWorker) process.exit(0) })
}

function share(port: number): void {
  let listening = 0
  cluster.on('listening', () => { if (++listening === processes) process.stdout.write(`ready http://127.0.0.1:${port}\n`) })
  for (let index = 0; index < processes; index++) cluster.fork()
  for (const signal of signals) process.once(signal, () => { for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill(); process.exit(0) })
}

const port = Number(process.env.PORT ?? 0)
if (cluster.isPrimary && processes > 1) share(port)
else serve(port)
