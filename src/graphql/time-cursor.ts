import { cursorPart } from './connection.ts';

/** The sort key of rows that go by a moment and their id. */
export function momentKey(at: Date, id: string): readonly string[] {
  return [at.toISOString(), id];
}

/** The moment and id in the parts of a cursor. Throws `invalid_input` when they are none. */
export function timeCursor(parts: readonly string[] | null): { at: Date; id: string } | null {
  return parts === null ? null : { at: new Date(cursorPart(parts, 0, 'moment')), id: cursorPart(parts, 1, 'uuid') };
}
