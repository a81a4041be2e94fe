/** Where the metrics are read: as text for Prometheus, as JSON for programs. */
import type { Deployment } from '../boot/deployment.ts'
import { exposition } from './exposition.ts'
import { metricFamilies } from './metrics.ts'
import { Content } from './route.ts'
import type { AdminRoute } from './route.ts'

export function measurementRoutes(deployment: Deployment): AdminRoute[] {
  return [
    {
      method: 'GET', path: '/metrics',
      async answer({ request }) {
        const { contentType, text } = exposition(await metricFamilies(deployment), request.headers.accept)
        return new Content(text, { 'content-type': contentType, 'cache-control': 'no-store' })
      },
    },
    { method: 'GET', path: '/metrics.json', answer: () => metricFamilies(deployment) },
  ]
}
