/** The session port on Redis: a hash per session, which Redis forgets when its time is over, and the keys of each subject in a sorted set by their end. */
import type { Sessions } from '../../ports/session.ts'
import { RedisConnection } from './connection.ts'
import type { RedisOptions } from './connection.ts'
import { script } from './script.ts'

export interface RedisSessionsOptions extends RedisOptions {
  /** Before all names. */
  readonly namespace: string
}

const prelude = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local function whole(number) return string.format('%.0f', number) end
`

/** KEYS 1 session, 2 its subject; ARGV 1 key, 2 subject, 3 claims, 4 idle and 5 absolute time in milliseconds. */
const beginScript = script(`${prelude}
  local ends = now + ARGV[5]
  redis.call('HSET', KEYS[1], 'subject', ARGV[2], 'claims', ARGV[3], 'idle', ARGV[4], 'ends', whole(ends))
  redis.call('PEXPIREAT', KEYS[1], whole(math.min(ends, now + ARGV[4])))
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
  redis.call('ZADD', KEYS[2], whole(ends), ARGV[1])
  redis.call('PEXPIREAT', KEYS[2], redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2])
`)

/** Is written only when a tenth of the idle time is over: what is read often must not be written as often. */
const useScript = script(`${prelude}
  local subject, claims, idle, ends = unpack(redis.call('HMGET', KEYS[1], 'subject', 'claims', 'idle', 'ends'))
  if not subject then return false end
  local until_ = math.min(tonumber(ends), now + idle)
  if until_ - redis.call('PEXPIRETIME', KEYS[1]) > idle / 10 then redis.call('PEXPIREAT', KEYS[1], whole(until_)) end
  return { subject, claims }
`)

/** KEYS 1 session, 2 the new one; ARGV 1 namespace of subjects, 2 and 3 the keys, 4 claims. */
const rotateScript = script(`${prelude}
  local subject, idle, ends = unpack(redis.call('HMGET', KEYS[1], 'subject', 'idle', 'ends'))
  if not subject then return 0 end
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'claims', ARGV[4])
  redis.call('PEXPIREAT', KEYS[2], whole(math.min(tonumber(ends), now + idle)))
  redis.call('ZREM', ARGV[1] .. subject, ARGV[2])
  redis.call('ZADD', ARGV[1] .. subject, ends, ARGV[3])
  return 1
`)

/** KEYS 1 session; ARGV 1 namespace of subjects, 2 key. */
const endScript = script(`
  local subject = redis.call('HGET', KEYS[1], 'subject')
  if subject then redis.call('ZREM', ARGV[1] .. subject, ARGV[2]) end
  redis.call('DEL', KEYS[1])
`)

/** KEYS 1 the subject's; ARGV 1 namespace of sessions. */
const endAllScript = script(`
  local ended = 0
  for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do ended = ended + redis.call('DEL', ARGV[1] .. key) end
  redis.call('DEL', KEYS[1])
  return ended
`)

export function openRedisSessions(options: RedisSessionsOptions): Sessions {
  const connection = new RedisConnection(options)
  const [sessions, subjects] = [`${options.namespace}:session:`, `${options.namespace}:subject:`]
  return {
    open: () => connection.open(),
    close: () => connection.close(),
    async begin(key, { subject, claims }, { idleMs, absoluteMs }) {
      await connection.run(beginScript, [sessions + key, subjects + subject], [key, subject, claims, String(idleMs), String(absoluteMs)])
    },
    async use(key) {
      const found = await connection.run(useScript, [sessions + key], []) as readonly [Buffer, Buffer] | null
      return found && { subject: found[0].toString(), claims: found[1].toString() }
    },
    async rotate(key, newKey, claims) {
      return await connection.run(rotateScript, [sessions + key, sessions + newKey], [subjects, key, newKey, claims]) === 1
    },
    async end(key) { await connection.run(endScript, [sessions + key], [subjects, key]) },
    async endAll(subject) { return await connection.run(endAllScript, [subjects + subject], [sessions]) as number },
    // Redis forgets them itself.
    prune: async () => {},
  }
}
