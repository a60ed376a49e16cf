import { createHash } from 'node:crypto';

/** A statement with its parameters, ready for `pg`. Made by the tags of this file only, so that values never reach the text. */
export interface Sql {
  /** Under which the connection keeps it prepared; empty: it is planned at every run. */
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

/**
 * A statement put together from others: a value that is an `Sql` itself becomes part of the text, its parameters renumbered. It is
 * not prepared but planned at every run with its values known: for searches, whose best plan depends on what is looked for.
 */
export function planned(strings: TemplateStringsArray, ...parts: readonly unknown[]): Sql {
  const values: unknown[] = [];
  let text = strings[0] ?? '';
  parts.forEach((part, index) => {
    if (isSql(part)) {
      const offset = values.length;
      text += part.text.replace(/\$(\d+)/g, (_, number: string) => `$${Number(number) + offset}`);
      values.push(...part.values);
    } else {
      values.push(part);
      text += `$${values.length}`;
    }
    text += strings[index + 1] ?? '';
  });
  return { name: '', text, values };
}

/** Conditions that must all hold. */
export function allOf(conditions: readonly Sql[]): Sql {
  return conditions.reduce((all, one) => planned`${all} and ${one}`, planned`true`);
}

function isSql(part: unknown): part is Sql {
  return typeof part === 'object' && part !== null && 'text' in part && 'values' in part;
}
