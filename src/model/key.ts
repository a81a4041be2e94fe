/** Keys and the buckets they lie in. */
import { bucketOf, bucketOfHandle, bucketOfId, isId } from '../base/id.ts'
import type { Key, RoutedKey } from './intent.ts'

/** The key of a thing known by its id: lies in the bucket that the id carries. Any other text is hashed. */
export function keyOfId(id: string): RoutedKey {
  return { key: id, bucket: isId(id) ? bucketOfId(id) : bucketOf(id) }
}

/** The key of a thing known by an address that ends in `-<handle>` (`base/id.ts`). Any other text is hashed. */
export function keyOfHandle(address: string): RoutedKey {
  const bucket = bucketOfHandle(address.slice(address.lastIndexOf('-') + 1))
  return { key: address, bucket: bucket ?? bucketOf(address) }
}

export function routed(key: Key): RoutedKey {
  return typeof key === 'string' ? { key, bucket: bucketOf(key) } : key
}
