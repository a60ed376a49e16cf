import { headerEnd } from '../mail/fields.ts';
import type { Spool } from './spool.ts';

const HEADER_MAX = 524_288;

/** The header of a stored message, 512 KiB of it at most. */
export async function readHeader(spool: Spool, contentId: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of (await spool.open(contentId)) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    const all = Buffer.concat(chunks);
    const end = headerEnd(all);
    if (end.body > end.header || bytes >= HEADER_MAX) return all.subarray(0, end.header);
  }
  return Buffer.concat(chunks);
}
