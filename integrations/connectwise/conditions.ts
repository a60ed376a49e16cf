/**
 * Conditions, ConnectWise's filter language: `summary contains "text" and company/id = 1`. Values come from mail subjects
 * and from people, so they must never end the string that they stand in.
 */

const FORBIDDEN = /["\\*%\p{Cc}]/u;

/**
 * A condition that holds for every record whose `field` holds `text`, and maybe for more. The guide names no escape for a
 * quotation mark and `*` and `%` are wildcards, so the longest run of characters without special meaning is asked for and
 * the caller compares the whole text itself. Null: no such run, so nothing can be asked.
 */
export function contains(field: string, text: string): string | null {
  const runs = text.split(FORBIDDEN).sort((a, b) => b.length - a.length);
  const run = runs[0]?.trim() ?? '';
  return run === '' ? null : `${field} contains ${quote(run)}`;
}

/** `field = "text"` where the text allows it, else the wider `contains`; the caller compares exactly in both cases. */
export function equals(field: string, text: string): string | null {
  return FORBIDDEN.test(text) || text.trim() !== text || text === ''
    ? contains(field, text)
    : `${field} = ${quote(text)}`;
}

/** Quotes text without special characters; backslashes and quotation marks are escaped should one ever come through. */
export function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}
