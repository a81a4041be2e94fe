/**
 * What the cache does in Redis, each a script and so one step. A tag is a version: the number
 * of the invalidation that named it last. An entry remembers the generation at which its
 * reading began, and holds while none of its tags has a higher number.
 *
 * The numbers of an *era* are in one hash, with the name of the era. Whatever makes Redis
 * forget some of them (a restart, FLUSHALL, eviction) makes it forget the era: the next call
 * begins another, in which nothing from before holds. When too many tags are known, the hash
 * is put aside, once; what is older than the one put aside holds no more.
 */
import { script } from './script.ts'
import type { Script } from './script.ts'

/** Fields of the hash that are no tags; those begin with a `t`. */
const prelude = `
  local tags, before = KEYS[1], KEYS[2]
  local era, generation = unpack(redis.call('HMGET', tags, '=era', '=generation'))
  if not era then
    era, generation = ARGV[1], '0'
    redis.call('HSET', tags, '=era', era, '=generation', '0', '=begins', '0')
  end
  generation = tonumber(generation)

  -- Whether one of the tags has a number above since.
  local function isNamed(hash, names, since)
    for first = 1, #names, 1000 do
      for _, number in ipairs(redis.call('HMGET', hash, unpack(names, first, math.min(first + 999, #names)))) do
        if number and tonumber(number) > since then return true end
      end
    end
    return false
  end

  -- Whether what was begun in this era at this generation, and has these tags, is still true.
  local function holds(itsEra, since, names)
    if itsEra ~= era then return false end
    if isNamed(tags, names, since) then return false end
    if since >= tonumber(redis.call('HGET', tags, '=begins')) then return true end
    local itsBefore, begins = unpack(redis.call('HMGET', before, '=era', '=begins'))
    return itsBefore == era and since >= tonumber(begins) and not isNamed(before, names, since)
  end
`

const withTags = (text: string): Script => script(prelude + text)

/** What one opener learns before it has asked for anything. */
export const beginScript = withTags(`
  return { era, generation }
`)

/** KEYS 3 entry, 4 lease; ARGV 2 opener, 3 time of the lease in milliseconds, 0 for none. */
export const claimScript = withTags(`
  local function lease()
    if ARGV[3] == '0' then return 0 end
    return redis.call('SET', KEYS[4], ARGV[2], 'NX', 'PX', ARGV[3]) and 1 or 0
  end
  local itsEra, since, names, freshUntil, note, value = unpack(redis.call('HMGET', KEYS[3], 'era', 'generation', 'tags', 'fresh', 'note', 'value'))
  if not value or not holds(itsEra, tonumber(since), cmsgpack.unpack(names)) then return { era, generation, lease() } end
  local time = redis.call('TIME')
  local fresh = tonumber(freshUntil) - (time[1] * 1000 + math.floor(time[2] / 1000))
  return { era, generation, fresh > 0 and 0 or lease(), note, value, fresh, redis.call('PTTL', KEYS[3]) }
`)

/** KEYS 3 entry, 4 lease; ARGV 2 opener, 3 and 4 era and generation of its beginning, 5 time to live, 6 time it is fresh, 7 note, 8 value, 9 … tags. */
export const setScript = withTags(`
  if redis.call('GET', KEYS[4]) == ARGV[2] then redis.call('DEL', KEYS[4]) end
  local names = {}
  for index = 9, #ARGV do names[index - 8] = 't' .. ARGV[index] end
  if not holds(ARGV[3], tonumber(ARGV[4]), names) then return { era, generation, 0 } end
  local time = redis.call('TIME')
  local fresh = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[6])
  redis.call('DEL', KEYS[3])
  redis.call('HSET', KEYS[3], 'era', era, 'generation', ARGV[4], 'tags', cmsgpack.pack(names), 'fresh', string.format('%.0f', fresh), 'note', ARGV[7], 'value', ARGV[8])
  redis.call('PEXPIRE', KEYS[3], ARGV[5])
  return { era, generation, 1 }
`)

/** KEYS 3 entry, 4 lease; ARGV 2 opener. */
export const deleteScript = withTags(`
  redis.call('DEL', KEYS[3])
  if redis.call('GET', KEYS[4]) == ARGV[2] then redis.call('DEL', KEYS[4]) end
  return { era, generation }
`)

/** ARGV 2 how many tags are known in one hash at most, 3 … tags. */
export const invalidateScript = withTags(`
  generation = generation + 1
  if redis.call('HLEN', tags) + #ARGV - 2 > tonumber(ARGV[2]) then
    redis.call('RENAME', tags, before)
    redis.call('HSET', tags, '=era', era, '=begins', generation)
  end
  redis.call('HSET', tags, '=generation', generation)
  for index = 3, #ARGV do redis.call('HSET', tags, 't' .. ARGV[index], generation) end
  return { era, generation }
`)

/** Another era. */
export const clearScript = script(`
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], '=era', ARGV[1], '=generation', '0', '=begins', '0')
  return { ARGV[1], 0 }
`)
