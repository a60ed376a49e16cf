import { BlobWriter, TextReader, Uint8ArrayReader, ZipWriter } from '@zip.js/zip.js';
import type { Verdict } from '../core/verdict.ts';
import type { DemoMail } from './corpus.ts';

/** Mail built in code whose verdict is known beforehand. */
export interface SpecialMail extends DemoMail {
  readonly expected: Verdict;
}

// The head of a Windows program: enough for every magic check, harmless since nothing follows.
const PROGRAM = Buffer.concat([
  Buffer.from('4d5a90000300000004000000ffff0000b800000000000000400000000000000000', 'hex'),
  Buffer.alloc(31),
  Buffer.from('PE\0\0'),
  Buffer.alloc(400),
]);

// The test file of the anti-virus industry (eicar.org), in two parts so that this source is not taken for it.
const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-', 'ANTIVIRUS-TEST-FILE!$H+H*'].join('');

export async function specialMails(): Promise<SpecialMail[]> {
  const inZip = await zip('setup.exe', PROGRAM);
  const encrypted = await zip('statement.pdf', Buffer.from('%PDF-1.4 secret'), 'infected');
  return [
    attach('program', 'setup.exe', 'application/octet-stream', PROGRAM, 'policy'),
    attach('program in a zip', 'documents.zip', 'application/zip', inZip, 'policy'),
    // A program that says it is something else is more than a blocked type.
    attach('program named .pdf', 'invoice.pdf', 'application/pdf', PROGRAM, 'malware'),
    attach('EICAR', 'readme.txt', 'text/plain', Buffer.from(EICAR), 'malware'),
    attach('encrypted zip', 'statement.zip', 'application/zip', encrypted, 'policy'),
  ];
}

async function zip(name: string, content: Buffer, password?: string): Promise<Buffer> {
  const writer = new ZipWriter(new BlobWriter('application/zip'), { useWebWorkers: false });
  const options = password === undefined ? {} : { password, zipCrypto: true };
  await writer.add(
    name,
    content.length === 0 ? new TextReader('') : new Uint8ArrayReader(new Uint8Array(content)),
    options,
  );
  return Buffer.from(await (await writer.close()).arrayBuffer());
}

function attach(label: string, name: string, type: string, content: Buffer, expected: Verdict): SpecialMail {
  const boundary = 'demo-boundary-5f2a';
  const lines = [
    'From: Accounts <accounts@supplier.example>',
    'To: You <you@example.org>',
    `Subject: Documents for you (${label})`,
    'Date: Tue, 06 Oct 2026 09:00:00 +0000',
    `Message-ID: <${label.replace(/\W/g, '-')}@supplier.example>`,
    'MIME-Version: 1.0',
    `Content-Type: multipart/mixed; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Please see the attached file.',
    `--${boundary}`,
    `Content-Type: ${type}; name="${name}"`,
    `Content-Disposition: attachment; filename="${name}"`,
    'Content-Transfer-Encoding: base64',
    '',
    ...(content.toString('base64').match(/.{1,76}/g) ?? []),
    `--${boundary}--`,
    '',
  ];
  return { label, raw: Buffer.from(lines.join('\r\n')), sender: 'accounts@supplier.example', expected };
}
