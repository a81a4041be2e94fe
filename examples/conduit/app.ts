/** Conduit: the RealWorld API as five services. */
import { application } from 'tenfold'
import { authenticate } from './authenticate.ts'
import { errors } from './errors.ts'
import * as accounts from './services/accounts/index.ts'
import * as articles from './services/articles/index.ts'
import * as feed from './services/feed/index.ts'
import * as notifications from './services/notifications/index.ts'
import * as profiles from './services/profiles/index.ts'

export const app = application('conduit', {
  title: 'Conduit',
  version: '1.0.0',
  services: { accounts, profiles, articles, feed, notifications },
  authenticate,
  credentials: ['authorization'],
  errors,
  corsOrigins: ['*'],
})
