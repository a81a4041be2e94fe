/** JSON that is a text already: made by a database, and passed on without being parsed and written again. */
export class JsonText<T = unknown> {
  /** Types only: what the text says. */
  declare readonly $type?: T
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  parse(): T { return JSON.parse(this.text) as T }

  /** Within another value, it is what it says. */
  toJSON(): T { return this.parse() }
}

/** What a value says, whether it is a text or not. */
export const valueOf = <T>(value: T | JsonText<T>): T => value instanceof JsonText ? value.parse() as T : value

/** The JSON text of a value; undefined where JSON has none. */
export const jsonOf = (value: unknown): string | undefined => value instanceof JsonText ? value.text : JSON.stringify(value)
