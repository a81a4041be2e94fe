/** The ceiling: bare node:http answering constant bytes, as many as a list of 20 has. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const bytes = Buffer.from(JSON.stringify({ text: 'x'.repeat(Number(process.env.BYTES ?? 8_000)) }))
const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': bytes.length }
const server = createServer((_request, response) => { response.writeHead(200, headers).end(bytes) })
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  process.stdout.write(`ready http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => { server.close(); server.closeAllConnections() })
