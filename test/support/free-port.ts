/**
 * Ports for servers that bind them seconds after they were chosen. The system gives none of
 * these to anybody by itself, and no two tests of one run are given the same.
 */
import { mkdirSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { randomFraction } from '../../src/base/random.ts'

/** Below what Linux (32768) and others (49152) give to who asks for any. */
const [first, last] = [20_000, 32_000]
let next = first + Math.floor(randomFraction() * (last - first))

export async function freePort(): Promise<number> {
  for (;;) {
    const port = next++
    if (next > last) next = first
    if (claim(port) && await isFree(port)) return port
  }
}

/** False when another test of this run was given it. */
function claim(port: number): boolean {
  const folder = process.env.TENFOLD_TEST_FOLDER
  if (!folder) return true
  try {
    mkdirSync(path.join(folder, `port-${port}`))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

const isFree = (port: number): Promise<boolean> => new Promise(resolve => {
  const probe = net.createServer().once('error', () => resolve(false))
  probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
})
