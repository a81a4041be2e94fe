/** Hostile requests against the running Conduit: the right 4xx with a body that says why, never a 5xx, and it goes on serving. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Person } from './realworld/own-cases.ts'
import { startDeployment } from './support/deployment.ts'

const json = { 'content-type': 'application/json' }
const forged = (header: object) => `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${Buffer.from('{"sub":"x","iss":"conduit","exp":9999999999}').toString('base64url')}.AAAA`

const cases: [string, string, string, RequestInit, number[]][] = [
  ['malformed JSON', 'POST', '/api/users', { body: '{"user":', headers: json }, [400]],
  ['a body over a megabyte', 'POST', '/api/users', { body: JSON.stringify({ user: { username: 'x'.repeat(1_100_000) } }), headers: json }, [413]],
  ['a text body', 'POST', '/api/users', { body: 'user=1', headers: { 'content-type': 'text/plain' } }, [415]],
  ['deep nesting', 'POST', '/api/users', { body: '['.repeat(100_000) + ']'.repeat(100_000), headers: json }, [400]],
  ['a prototype key', 'POST', '/api/users', { body: '{"user":{"__proto__":{"polluted":1}}}', headers: json }, [400]],
  ['a constructor key', 'POST', '/api/users', { body: '{"constructor":{"prototype":{"polluted":1}}}', headers: json }, [400]],
  ['wrong types', 'POST', '/api/users', { body: '{"user":{"username":1,"email":[],"password":{}}}', headers: json }, [422]],
  ['a NUL in a text', 'POST', '/api/users', { body: '{"user":{"username":"a\\u0000b","email":"e","password":"p"}}', headers: json }, [422]],
  ['half a surrogate pair', 'POST', '/api/users', { body: '{"user":{"username":"a\\ud800b","email":"e","password":"p"}}', headers: json }, [422]],
  ['an array for a body', 'POST', '/api/users', { body: '[1]', headers: json }, [422]],
  ['an empty body', 'POST', '/api/users', { headers: json }, [422]],
  ['an unknown path', 'GET', '/api/nothing', {}, [404]],
  ['an unknown method', 'PATCH', '/api/articles', {}, [405]],
  ['a limit of NaN', 'GET', '/api/articles?limit=NaN', {}, [422]],
  ['a negative offset', 'GET', '/api/articles?offset=-1', {}, [422]],
  ['an absurd limit', 'GET', '/api/articles?limit=1e309', {}, [422]],
  ['a repeated limit', 'GET', '/api/articles?limit=1&limit=2', {}, [422]],
  ['a NUL in the query', 'GET', '/api/articles?tag=%00', {}, [200, 422]],
  ['a NUL in the path', 'GET', '/api/articles/%00', {}, [404, 422]],
  ['broken percent-encoding', 'GET', '/api/articles/%zz', {}, [400]],
  ['a token of garbage', 'GET', '/api/user', { headers: { authorization: 'Token garbage' } }, [401]],
  ['alg none', 'GET', '/api/user', { headers: { authorization: `Token ${forged({ alg: 'none' })}` } }, [401]],
  ['a forged signature', 'GET', '/api/user', { headers: { authorization: `Token ${forged({ alg: 'HS256' })}` } }, [401]],
  ['an idempotency key of spaces', 'POST', '/api/users', { body: '{}', headers: { ...json, 'idempotency-key': 'a b' } }, [400]],
  ['a forged consistency token', 'GET', '/api/tags', { headers: { 'tenfold-token': 't1.AAAA' } }, [200]],
]

test('hostile requests', async t => {
  const deployment = await startDeployment()
  t.after(() => deployment.close())
  for (const [name, method, path, init, allowed] of cases) {
    await t.test(name, async () => {
      const answer = await fetch(deployment.url + path, { method, ...init })
      const text = await answer.text()
      assert.ok(allowed.includes(answer.status), `${answer.status} ${text}`)
      if (answer.status >= 400) assert.ok(Object.keys((JSON.parse(text) as { errors: object }).errors).length > 0, text)
      assert.equal(({} as { polluted?: unknown }).polluted, undefined)
    })
  }
  const person = new Person(deployment.url)
  await person.register()
  const routes: [string, string][] = [['POST', '/users'], ['POST', '/users/login'], ['PUT', '/user'], ['POST', '/articles'], ['PUT', '/articles/x'], ['POST', '/articles/x/comments'], ['POST', '/articles/x/favorite'], ['DELETE', '/articles/x'], ['DELETE', '/articles/x/comments/y'], ['POST', '/profiles/x/follow']]
  await t.test('anything at every route', async () => {
    const key = fc.constantFrom('user', 'article', 'comment', 'email', 'username', 'password', 'title', 'body', 'description', 'tagList', 'slug', 'id', 'bio')
    const value = fc.letrec(tie => ({ any: fc.oneof({ maxDepth: 4 }, fc.string({ unit: 'binary' }), fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.array(tie('any'), { maxLength: 4 }), fc.dictionary(key, tie('any'), { maxKeys: 4 })) })).any
    const segment = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }).map(text => text.isWellFormed() ? encodeURIComponent(text) : 'x'), fc.constant('x'))
    await fc.assert(fc.asyncProperty(fc.constantFrom(...routes), fc.oneof(value, fc.dictionary(key, value)), segment, async ([method, path], body, text) => {
      const answer = await person.send(method, path.replace(/\/[xy](?=\/|$)/g, `/${text || 'x'}`), JSON.stringify(body) ?? '')
      assert.ok(answer.status < 500, `${method} ${path} ${JSON.stringify(body)} → ${answer.status} ${JSON.stringify(answer.body)}`)
    }), { numRuns: process.env.TENFOLD_SOAK === '1' ? 20_000 : 3_000 })
  })
  assert.equal((await person.send('GET', '/tags')).status, 200)
  assert.doesNotMatch(deployment.output(), /"level":(50|60)/)
})
