import { createHash } from 'node:crypto';
import { printable } from '../core/address.ts';
import { inspectContent, mergeInspections } from './archives.ts';
import type { Budget } from './budget.ts';
import type { Leaf } from './leaves.ts';
import { inspectName, normalizeName } from './names.ts';
import type { ParsedAttachment } from './types.ts';

/** An attachment as the MIME library shows it. */
export interface ShownAttachment {
  /** Empty when there is none. */
  readonly filename: string;
  readonly contentType: string;
  readonly content: Buffer;
}

/** One file: under all names that some reader might show, and as up to two readers decode it. */
export interface Candidate {
  readonly names: readonly string[];
  readonly contentType: string;
  readonly content: Buffer;
  readonly other: Buffer | null;
}

interface Row {
  readonly names: string[];
  readonly contentType: string;
  readonly content: Buffer;
  readonly sha256: string;
  other: Buffer | null;
  /** A leaf of the own walk is already joined to it. */
  taken: boolean;
}

/** Joins what the library shows with what the own walk found, each file once, and inspects up to `max` of them. */
export async function collectAttachments(
  shown: readonly ShownAttachment[],
  leaves: readonly Leaf[],
  budget: Budget,
  max: number,
): Promise<{ attachments: ParsedAttachment[]; complete: boolean }> {
  const rows = shown.map(
    (attachment): Row => ({
      names: attachment.filename === '' ? [] : [attachment.filename],
      contentType: attachment.contentType,
      content: attachment.content,
      sha256: digest(attachment.content),
      other: null,
      taken: false,
    }),
  );
  const byDigest = groupBy(rows, (row) => row.sha256);
  const byName = groupBy(rows, (row) => row.names[0] ?? '');
  for (const leaf of leaves) if (!leaf.isBody) join(leaf, rows, byDigest, byName);
  const attachments: ParsedAttachment[] = [];
  for (const row of rows.slice(0, max)) attachments.push(await describeAttachment(row, budget));
  return { attachments, complete: rows.length <= max };
}

function groupBy(rows: readonly Row[], key: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(key(row));
    if (group === undefined) groups.set(key(row), [row]);
    else group.push(row);
  }
  return groups;
}

function join(leaf: Leaf, rows: Row[], byDigest: Map<string, Row[]>, byName: Map<string, Row[]>): void {
  const sha256 = digest(leaf.content);
  const equal = byDigest.get(sha256) ?? [];
  const named = leaf.names.flatMap((name) => byName.get(name) ?? []);
  const same = equal.find((row) => !row.taken) ?? named.find((row) => !row.taken);
  if (same !== undefined) {
    same.taken = true;
    for (const name of leaf.names) if (!same.names.includes(name)) same.names.push(name);
    if (same.sha256 !== sha256) same.other = leaf.content;
    return;
  }
  // The same part, decoded by the second of two encodings to the same bytes, is no second file.
  if (equal.some((row) => row.names.some((name) => leaf.names.includes(name)))) return;
  const row: Row = {
    names: [...leaf.names],
    contentType: leaf.contentType,
    content: leaf.content,
    sha256,
    other: null,
    taken: true,
  };
  rows.push(row);
  byDigest.set(sha256, [...equal, row]);
}

/** Names, type, hash and all that is inside. */
export async function describeAttachment(file: Candidate, budget: Budget): Promise<ParsedAttachment> {
  const names = file.names.length === 0 ? ['unnamed'] : file.names;
  const contentType = printable(file.contentType.toLowerCase(), 120);
  const found = await inspectContent(names, contentType, file.content, budget);
  const other = file.other === null ? null : await inspectContent(names, contentType, file.other, budget);
  // Of several names the most dangerous one is shown: it is the one that a person should see.
  const rawName = names.find((name) => inspectName(name).dangerous) ?? names[0] ?? 'unnamed';
  return {
    name: normalizeName(rawName) || 'unnamed',
    rawName: rawName.slice(0, 1000),
    contentType,
    sniffedType: found.sniffedType ?? other?.sniffedType ?? null,
    bytes: file.content.length,
    sha256: digest(file.content),
    inspection: other === null ? found.inspection : mergeInspections(found.inspection, other.inspection),
  };
}

function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
