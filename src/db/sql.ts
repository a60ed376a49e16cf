import { createHash } from 'node:crypto';

/** A statement with its parameters, ready for `pg`. Made by the `sql` tag only, so that values never reach the text. */
export interface Sql {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

const texts = new WeakMap<TemplateStringsArray, { name: string; text: string }>();

/**
 * A literal statement: sql`select name from clients where id = ${id}`. Every value becomes a parameter. The text is
 * prepared once per connection under a name that is its hash.
 */
export function sql(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql {
  let known = texts.get(strings);
  if (known === undefined) {
    const text = strings.reduce((joined, part, index) => (index === 0 ? part : `${joined}$${index}${part}`), '');
    known = { text, name: createHash('sha256').update(text).digest('base64url').slice(0, 32) };
    texts.set(strings, known);
  }
  return { ...known, values };
}
