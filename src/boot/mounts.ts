/** What is served below a prefix beside the intents: existing applications, static files, uploads. */
import type { Application } from '../model/app.ts'
import { acceptsUploads } from '../model/manifest.ts'
import { nodeHandlerOf } from '../model/mount.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { Mount } from '../ports/ingress.ts'
import { assetsMount } from '../runtime/assets.ts'
import { blobsMount } from '../runtime/blobs-mount.ts'

export async function mountsOf(app: Application, blobs: Blobs): Promise<Mount[]> {
  const { mounts = {}, assets = {} } = app.options
  return [
    ...await Promise.all(Object.entries(mounts).map(async ([prefix, application]) => ({ prefix, handle: await nodeHandlerOf(application) }))),
    ...await Promise.all(Object.entries(assets).map(([prefix, one]) => assetsMount(prefix, one))),
    ...(acceptsUploads(app) ? [blobsMount(blobs)] : []),
  ]
}
