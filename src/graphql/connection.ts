import { AppError } from '../core/errors.ts';

/** What every connection field is given (Relay cursor connections, https://relay.dev/graphql/connections.htm). */
export interface PageArgs {
  readonly first: number;
  readonly after?: string | null;
}

export interface Connection<T> {
  readonly edges: readonly { readonly cursor: string; readonly node: T }[];
  readonly nodes: readonly T[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

export const PAGE_MAX = 100;
const CURSOR_MAX = 2_000;

/** Throws `invalid_input` for a page size that is not 1 to 100. */
export function requireFirst(first: number): number {
  if (!Number.isInteger(first) || first < 1 || first > PAGE_MAX) {
    throw new AppError('invalid_input', `first is 1 to ${PAGE_MAX}`, { field: 'first' });
  }
  return first;
}

/** A cursor: the sort key of a row, so that a page follows on however many rows came or went before it. */
export function encodeCursor(key: readonly string[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

/** The sort key in a cursor of `length` parts, null when there is none. Throws `invalid_input` for a text that is no cursor. */
export function decodeCursor(cursor: string | null | undefined, length: number): readonly string[] | null {
  if (cursor === null || cursor === undefined) return null;
  const key = parseKey(cursor);
  if (key === null || key.length !== length) {
    throw new AppError('invalid_input', 'after is not a cursor of this connection', { field: 'after' });
  }
  return key;
}

function parseKey(cursor: string): readonly string[] | null {
  if (cursor.length > CURSOR_MAX || !/^[\w-]+$/.test(cursor)) return null;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const isKey = Array.isArray(parsed) && parsed.every((part) => typeof part === 'string' && !part.includes('\0'));
    return isKey ? (parsed as string[]) : null;
  } catch {
    return null;
  }
}

/**
 * One page. `load` is asked for one row more than the page holds, so that `hasNextPage` is known without a count;
 * `keyOf` gives the sort key that becomes a row's cursor.
 */
export async function connect<T>(
  args: PageArgs,
  keyLength: number,
  keyOf: (row: T) => readonly string[],
  load: (page: { first: number; after: readonly string[] | null }) => Promise<readonly T[]>,
): Promise<Connection<T>> {
  const first = requireFirst(args.first);
  const after = decodeCursor(args.after, keyLength);
  const rows = await load({ first: first + 1, after });
  const edges = rows.slice(0, first).map((node) => ({ cursor: encodeCursor(keyOf(node)), node }));
  return {
    edges,
    nodes: edges.map((edge) => edge.node),
    pageInfo: {
      hasNextPage: rows.length > first,
      hasPreviousPage: after !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

/** A page of a list that is in memory whole, in the order it has. */
export function connectList<T>(
  args: PageArgs,
  rows: readonly T[],
  keyOf: (row: T) => readonly string[],
): Promise<Connection<T>> {
  const keys = rows.map((row) => JSON.stringify(keyOf(row)));
  return connect(args, rows[0] === undefined ? 1 : keyOf(rows[0]).length, keyOf, async ({ first, after }) => {
    const from = after === null ? 0 : keys.indexOf(JSON.stringify(after)) + 1;
    return rows.slice(from, from + first);
  });
}

/** A UUID from a cursor. Throws `invalid_input`: a cursor that was made by hand must not reach the database's own error. */
export function cursorPart(key: readonly string[], index: number, kind: 'uuid' | 'moment' | 'text'): string {
  const part = key[index] ?? '';
  const fits =
    kind === 'text' ||
    (kind === 'uuid' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(part)) ||
    (kind === 'moment' && !Number.isNaN(Date.parse(part)));
  if (!fits) throw new AppError('invalid_input', 'after is not a cursor of this connection', { field: 'after' });
  return part;
}
