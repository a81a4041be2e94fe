/** The signature of the consistency token is the HMAC of RFC 2104, and what was not signed so is nobody's. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { tokenCodec } from '../../src/runtime/token.ts'

const token = { epoch: 1, wroteAtMs: 1_790_000_000_000, positions: [{ shard: 0, timeline: 1, lsn: 0x1_0000_0001n }, { shard: 3, timeline: 2, lsn: 7n }] }
const bytesOf = (text: string) => Buffer.from(text.slice(3), 'base64url')

for (const [name, secret] of [['short', Buffer.from('secret')], ['of a block', Buffer.alloc(64, 7)], ['longer than a block', Buffer.alloc(100, 9)]] as const) {
  test(`a token signed with a secret that is ${name}`, () => {
    const codec = tokenCodec(secret)
    const text = codec.encode(token)
    assert.deepEqual(codec.decode(text), token)
    const bytes = bytesOf(text)
    assert.deepEqual(bytes.subarray(-8), createHmac('sha256', secret).update(bytes.subarray(0, -8)).digest().subarray(0, 8))
    for (let at = 0; at < bytes.length; at++) {
      const forged = Buffer.from(bytes)
      forged[at]! ^= 1
      assert.equal(codec.decode(`t1.${forged.toString('base64url')}`), null, `byte ${at}`)
    }
    assert.equal(tokenCodec(Buffer.from('another')).decode(text), null)
  })
}
