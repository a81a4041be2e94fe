/** Cache tags on the wire. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cacheTagHeader, cacheTagOf, cacheTagsOf } from '../../src/base/cache-tag.ts'

test('readable where it can be, one token always, different for different tags', () => {
  assert.deepEqual(cacheTagsOf(['author:1', 'a/b@c', 'a b', 'ä', 'author:1']), ['author:1', 'a/b@c', 'a%20b', '%C3%A4'])
  fc.assert(fc.property(fc.string({ minLength: 1, unit: 'binary' }), fc.string({ minLength: 1, unit: 'binary' }), (one, other) => {
    assert.match(cacheTagOf(one), /^[!-+\--~]{1,200}$/)
    assert.equal(cacheTagOf(one) === cacheTagOf(other), one === other)
  }))
  assert.notEqual(cacheTagOf('x'.repeat(500)), cacheTagOf('x'.repeat(501)))
  assert.throws(() => cacheTagOf(''))
})

test('more tags than a CDN takes are no header', () => {
  assert.equal(cacheTagHeader(['a', 'b']), 'a,b')
  assert.equal(cacheTagHeader(Array.from({ length: 2_000 }, (_, index) => `article:${index}`)), null)
})
