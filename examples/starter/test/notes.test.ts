/** Notes, through the typed client, against a deployment of its own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient, isTenfoldError } from 'tenfold'
import { startTestDeployment } from 'tenfold/testing'
import { app } from '../app.ts'

test('an author lists the notes that were added', async t => {
  const deployment = await startTestDeployment(new URL('../app.ts', import.meta.url))
  t.after(() => deployment.stop())
  const client = createClient(app, deployment.url)
  const note = await client.notes.add({ author: 'jane', text: 'hello' })
  assert.equal(note.text, 'hello')
  assert.deepEqual(await client.notes.list({ author: 'jane' }), { notes: [note] })
  assert.deepEqual(await client.notes.list({ author: 'john' }), { notes: [] })
  const refused = await client.notes.add({ author: 'jane', text: '' }).then(() => null, (error: unknown) => error)
  assert.ok(isTenfoldError(refused) && refused.status === 422)
})
