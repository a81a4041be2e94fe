/** The page that is shipped was built from the sources that are here, is small, and is what the build made. */
import assert from 'node:assert/strict'
import { globSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { buildFile, buildNow, pageFolder } from '../../scripts/console.ts'

test('the built console is of its sources', () => {
  assert.deepEqual(JSON.parse(readFileSync(buildFile, 'utf8')), buildNow(), 'console/ or src/admin/page has changed since it was built: npm run console')
})

test('the built console is small, and names no place but its own', () => {
  const files = globSync('**/*.{html,js,css,svg}', { cwd: pageFolder })
  const bytes = files.reduce((sum, file) => sum + statSync(path.join(pageFolder, file)).size, 0)
  assert.ok(bytes < 400_000, `${bytes} bytes`)
  const page = readFileSync(path.join(pageFolder, 'index.html'), 'utf8')
  assert.doesNotMatch(page, /https?:|<style|<script(?![^>]* src=)|\son\w+=/, 'the policy would refuse it')
})
