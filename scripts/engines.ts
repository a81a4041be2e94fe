/**
 * The engines that come from Debian: finds what is missing and installs it when it may
 * (root, apt); otherwise names the packages. Starts no service. Quick when all is there.
 *
 *   node scripts/engines.ts [NAME …]
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, globSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

export interface Engine {
  /** Each must be found on PATH, or match as a pattern of files when it begins with a slash. */
  readonly needs: readonly string[]
  readonly packages: readonly string[]
  /** Installed when it is named: one test of the soak needs it. */
  readonly isOptional?: boolean
}

export const engines = {
  varnish: { needs: ['varnishd', '/usr/lib{,/*-linux-gnu*}/varnish/vmods/libvmod_xkey.so'], packages: ['varnish', 'varnish-modules'] },
  haproxy: { needs: ['haproxy'], packages: ['haproxy'] },
  redis: { needs: ['redis-server'], packages: ['redis-server'] },
  prometheus: { needs: ['prometheus', 'promtool'], packages: ['prometheus'] },
  alertmanager: { needs: ['amtool', 'prometheus-alertmanager'], packages: ['prometheus-alertmanager'] },
  nats: { needs: ['nats-server'], packages: ['nats-server'] },
  patroni: { needs: ['patroni', 'etcd', '/usr/lib/postgresql/*/bin/pg_basebackup'], packages: ['patroni', 'etcd-server', 'postgresql'], isOptional: true },
  nftables: { needs: ['nft'], packages: ['nftables'] },
  strace: { needs: ['strace'], packages: ['strace'] },
  chromium: { needs: ['chromium'], packages: ['chromium'] },
} as const satisfies Readonly<Record<string, Engine>>

export type EngineName = keyof typeof engines
const usual = (Object.keys(engines) as EngineName[]).filter(name => !(engines[name] as Engine).isOptional)

const policyFile = '/usr/sbin/policy-rc.d'
const sbin = ['/usr/local/sbin', '/usr/sbin', '/sbin']

function isThere(need: string): boolean {
  if (need.startsWith('/')) return globSync(need).length > 0
  return [...(process.env.PATH ?? '').split(path.delimiter), ...sbin].some(folder => {
    try { accessSync(path.join(folder, need), constants.X_OK); return true } catch { return false }
  })
}

export const missingPackages = (names: readonly EngineName[]): string[] =>
  names.filter(name => !engines[name].needs.every(isThere)).flatMap(name => engines[name].packages)

const mayInstall = (): boolean => process.getuid?.() === 0 && isThere('apt-get')

/** Why a test of this engine is left out, or false when it can run. Root could have installed it, so there it fails. */
export function skipWithout(name: EngineName): string | false {
  const missing = missingPackages([name])
  if (missing.length === 0) return false
  const reason = `${name} is not installed: apt-get install ${missing.join(' ')}`
  if (process.getuid?.() === 0) throw new Error(`${reason}, or run node scripts/engines.ts`)
  return reason
}

/** Installs what is missing; the packages that still are afterwards. */
export function installEngines(names: readonly EngineName[] = usual): string[] {
  const missing = missingPackages(names)
  if (missing.length === 0 || !mayInstall()) return missing
  process.stderr.write(`Installing the Debian packages ${missing.join(', ')} …\n`)
  withoutStarting(() => {
    const wait = ['-o', 'DPkg::Lock::Timeout=300', '-q']
    apt([...wait, 'update'])
    apt([...wait, 'install', '-y', '--no-install-recommends', ...missing])
  })
  return missingPackages(names)
}

function apt(argv: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync('apt-get', argv, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  if (status !== 0) process.stderr.write(`apt-get ${argv.join(' ')} failed:\n${(stdout + stderr).slice(-2_000)}\n`)
}

/** Debian starts what it installs, on the standard port and for everybody, unless a policy says no. */
function withoutStarting(work: () => void): void {
  const mine = !existsSync(policyFile)
  if (mine) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try { work() } finally { if (mine) rmSync(policyFile, { force: true }) }
}

if (import.meta.main) {
  const names = process.argv.slice(2)
  const unknown = names.filter(name => !(name in engines))
  if (unknown.length > 0) throw new Error(`no such engine: ${unknown.join(', ')}; there are ${Object.keys(engines).join(', ')}`)
  const missing = installEngines(names.length > 0 ? names as EngineName[] : undefined)
  if (missing.length > 0) {
    process.stderr.write(`Missing: run as root\n  apt-get install --no-install-recommends ${missing.join(' ')}\n`)
    process.exitCode = 1
  }
}
