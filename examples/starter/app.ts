/** The application: its services, assembled. */
import { application } from 'tenfold'
import * as notes from './services/notes/index.ts'

export const app = application('starter', { services: { notes } })
