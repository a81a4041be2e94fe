/** The session of the console: what a page must know to begin, and the way in where a token is asked for. */
import { fault } from '../base/errors.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { Guard } from './guard.ts'
import { textOf } from './route.ts'
import type { AdminCall, AdminRoute } from './route.ts'

export function entranceRoutes({ plan }: Deployment, guard: Guard): AdminRoute[] {
  const { sessions } = guard
  /** `login`: whether the token is needed, or has been given. */
  const told = (csrf: string | null, login: 'free' | 'needed' | 'given') =>
    ({ login, csrf, ...login === 'needed' ? {} : { application: plan.application, topology: plan.topology } })
  return [
    {
      method: 'GET', path: '/session', open: true,
      answer({ request, response }: AdminCall) {
        const found = guard.sessionOf(request)
        if (!found && guard.needsLogin) return told(null, 'needed')
        const session = found ?? sessions.begin('guest')
        if (!found) response.setHeader('set-cookie', sessions.header(session))
        return told(session.csrf, session.kind === 'member' ? 'given' : 'free')
      },
    },
    {
      method: 'POST', path: '/session', open: true,
      async answer({ response, body }: AdminCall) {
        if (!guard.isToken(textOf(await body(), 'token').trim())) throw fault('UNAUTHENTICATED', 'this is not the token of this deployment; \'tenfold console\' prints it where the data folder is')
        const session = sessions.begin('member')
        response.setHeader('set-cookie', sessions.header(session))
        return told(session.csrf, 'given')
      },
    },
    {
      method: 'DELETE', path: '/session',
      answer({ response }: AdminCall) {
        response.setHeader('set-cookie', sessions.header(null))
        return told(null, 'needed')
      },
    },
  ]
}
