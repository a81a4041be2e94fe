/** Sends mail by SMTP when SMTP_URL is set; otherwise each mail becomes a file in the data folder. */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { dataFolder } from '../../config.ts'

export interface Mail { readonly id: string; readonly to: string; readonly subject: string; readonly text: string }

export async function sendMail({ id, to, subject, text }: Mail): Promise<void> {
  // With the first mail: a start needs none of it.
  const { createTransport } = await import('nodemailer')
  const message = { from: process.env.MAIL_FROM ?? 'conduit@localhost', to: { name: '', address: to }, subject, text, messageId: `<${id}@conduit>` }
  if (process.env.SMTP_URL) {
    await createTransport(process.env.SMTP_URL).sendMail(message)
    return
  }
  const { message: bytes } = await createTransport({ streamTransport: true, buffer: true }).sendMail(message)
  const folder = path.join(dataFolder(), 'mail')
  await mkdir(folder, { recursive: true })
  // Under one name per mail: a second attempt replaces the first one's file.
  await writeFile(path.join(folder, `${id}.draft`), bytes as Buffer)
  await rename(path.join(folder, `${id}.draft`), path.join(folder, `${id}.eml`))
}
