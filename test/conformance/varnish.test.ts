/** Varnish against the suite of CDNs, and Varnishes with faults, which the suite must find. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { sleep } from '../../src/base/time.ts'
import { cdnSuite } from '../../src/conformance/cdn.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import type { Case } from '../../src/conformance/check.ts'
import type { Cdn } from '../../src/ports/cdn.ts'
import { scratchVarnish, varnishDriver } from '../support/varnish.ts'
import type { ScratchVarnish } from '../support/varnish.ts'

const skip = skipWithout('varnish')
let starting: Promise<ScratchVarnish> | undefined
const shared = () => starting ??= scratchVarnish()
after(async () => { await (await starting?.catch(() => undefined))?.close() })

const driver = varnishDriver(shared)
const together = verify(cdnSuite, driver)
const alone = verify(cdnSuite, { ...driver, open: driver.openAlone, faults: ['origin', 'stop'] })
const cases: Case[] = together.map((one, index) => one.skip ? alone[index]! : one)

for (const one of cases) test(one.name, { skip: skip || one.skip || false }, () => one.run())

const checksOf = (names: readonly string[]) => names.map(name => name.split(' · ')[2])
const broken = (change: (cdn: Cdn) => Partial<Cdn>) => verify(cdnSuite, varnishDriver(shared, 'broken', cdn => ({ open: () => cdn.open(), close: () => cdn.close(), purge: tags => cdn.purge(tags), healthy: () => cdn.healthy(), ...change(cdn) }))).filter(one => one.name.includes('purge'))

test('a purge that answers before it has happened is found', { skip }, async () => {
  const failed = checksOf(await failures(broken(cdn => ({ async purge(tags) { void sleep(300).then(() => cdn.purge(tags)).catch(() => {}) } }))))
  assert.ok(failed.includes('purge forgets what carries one of the tags, and nothing else'), String(failed))
})

test('a purge of the first tag only is found', { skip }, async () => {
  assert.ok(checksOf(await failures(broken(cdn => ({ purge: tags => cdn.purge(tags.slice(0, 1)) })))).includes('purge forgets what carries one of the tags, and nothing else'))
})

test('without its rules Varnish fails what they keep, and only that', { skip }, async t => {
  const varnish = await scratchVarnish({}, vcl => {
    const changed = vcl
      .replace('if (req.http.Authorization || req.http.Tenfold-Token || req.http.Cookie) {', 'if (req.method == "TRACE") {')
      .replace('beresp.http.Set-Cookie ||', '')
      .replace('std.real(var.global_get("purged"), 0.0) >= var.get_real("begun")', 'req_never').replace('if (req_never)', 'if (beresp.status == 999)')
      .replace('unset resp.http.Cache-Tag;', '')
    assert.notEqual(changed, vcl)
    return changed
  })
  t.after(() => varnish.close())
  const failed = checksOf(await failures(verify(cdnSuite, varnishDriver(async () => varnish, 'without rules'))))
  const random = 'no read after a purge is older than it, while others read'
  assert.deepEqual(failed.filter(name => name !== random), [
    'a public answer is stored, with its age, and shows nothing that was meant for the CDN',
    'what is private, sets a cookie or fails is never stored',
    'a request with credentials is not answered from the store, and its answer is not stored',
    'an answer that was on its way when its tag was purged is not stored',
  ])
})
