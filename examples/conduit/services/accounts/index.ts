/** The service `accounts`: what it exports here is what it is. */
export { accounts } from './service.ts'
export { changed, registered } from './events.ts'
export { changeAvatar, register, updateUser } from './commands.ts'
export { currentUser, login, people, person } from './queries.ts'
