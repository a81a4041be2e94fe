/** The suite notices an orchestrator that is broken; otherwise passing it would mean nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failures, verify } from '../../src/conformance/check.ts'
import { orchestratorSuite } from '../../src/conformance/orchestrator.ts'
import { orchestratorSubject } from '../fixtures/orchestrator-subject.ts'
import { BrokenOrchestrator } from './broken/orchestrator.ts'

test('a broken orchestrator fails what it breaks, and only that', async () => {
  const driver = { name: 'broken', open: async () => orchestratorSubject(new BrokenOrchestrator()) }
  const failed = (await failures(verify(orchestratorSuite, driver))).map(name => name.split(' · ')[2])
  assert.deepEqual(failed, [
    'ask collects the answers of the ready processes, and leaves out the silent',
    'apply starts what is missing and stops what is no longer wanted',
    'a changed spec replaces the process',
    'a changed spec is rolled one process at a time, the new one ready before the old one goes',
    'a changed spec that never becomes ready is given up, and what ran goes on',
    'a process that ends unasked is started again promptly, its siblings are left alone',
    'a process that keeps ending is started after a growing backoff',
    'apply rejects when a process never becomes ready, and the others stay',
    'stop kills what does not end within its grace',
  ])
})
