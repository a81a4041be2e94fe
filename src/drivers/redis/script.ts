/** A script that Redis runs as one step; it is known there by the hash of its text. */
import { hash } from 'node:crypto'

export interface Script { readonly text: string; readonly sha1: string }

export const script = (text: string): Script => ({ text, sha1: hash('sha1', text) })
