/** The welcome mail over SMTP, against a real server on loopback: refused, tried again, delivered once under one id. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import type { AddressInfo, Server } from 'node:net'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SMTPServer } from 'smtp-server'
import { startDeployment } from './support/deployment.ts'

interface Attempt { readonly to: readonly string[]; readonly text: string; readonly accepted: boolean }

const refusal = (text: string, responseCode: number) => Object.assign(new Error(text), { responseCode })

/** Refuses the recipient once, the finished message twice, and takes it then. */
async function refusingServer() {
  const attempts: Attempt[] = []
  let recipientsRefused = 0
  const server = new SMTPServer({
    authOptional: true, disabledCommands: ['STARTTLS', 'AUTH'], logger: false,
    onRcptTo(_address, _session, callback) { callback(recipientsRefused++ === 0 ? refusal('try later', 450) : null) },
    onData(stream, session, callback) {
      let text = ''
      stream.on('data', (data: Buffer) => { text += data.toString() })
      stream.on('end', () => {
        const accepted = attempts.length >= 2
        attempts.push({ to: session.envelope.rcptTo.map(one => one.address), text, accepted })
        callback(accepted ? null : refusal('mailbox busy', 451))
      })
    },
  })
  server.on('error', () => {})
  const listening = server.listen(0, '127.0.0.1') as Server
  await once(listening, 'listening')
  return { attempts, recipientsRefused: () => recipientsRefused, url: `smtp://127.0.0.1:${(listening.address() as AddressInfo).port}`, close: () => new Promise<void>(resolve => { server.close(resolve) }) }
}

const messageIdOf = ({ text }: Attempt) => /^Message-ID: (.+)$/im.exec(text)?.[1]?.trim()

test('the welcome mail survives a server that refuses, under one id', async t => {
  const smtp = await refusingServer()
  t.after(() => smtp.close())
  const deployment = await startDeployment({ env: { SMTP_URL: smtp.url, MAIL_FROM: 'hello@example.com', LOG_LEVEL: 'error' } })
  t.after(() => deployment.close())
  const answer = await fetch(`${deployment.url}/api/users`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user: { username: 'jane', email: 'jane@example.com', password: 'password123' } }),
  })
  assert.equal(answer.status, 201, 'registering does not wait for the mail')
  const { attempts } = smtp
  while (!attempts.some(one => one.accepted)) await sleep(50)
  // Long enough for a worker that would send it again to do so.
  await sleep(1_500)
  assert.equal(attempts.length, 3)
  assert.ok(smtp.recipientsRefused() >= 4, 'the refused recipient was tried again')
  const ids = new Set(attempts.map(messageIdOf))
  assert.equal(ids.size, 1, 'one message id over all attempts')
  assert.match([...ids][0]!, /^<[0-9a-f]{32}@conduit>$/)
  for (const { to, text } of attempts) {
    assert.deepEqual(to, ['jane@example.com'])
    assert.match(text, /^From: hello@example\.com/m)
    assert.match(text, /Hello jane,/)
  }
  await assert.rejects(access(path.join(deployment.dataFolder, 'mail')), 'with SMTP no mail is written to the data folder')
})
