import type { ContentStore } from '../core/content.ts';
import type { Job } from './queue.ts';

const HEADER_END = Buffer.from('\r\n\r\n');

/** Whether a message holds octets above 127, and whether it is one that SMTPUTF8 was declared for and its header holds them. */
export async function needsOf(
  store: ContentStore,
  job: Pick<Job, 'contentId' | 'smtpUtf8'>,
): Promise<{ readonly utf8: boolean; readonly eightBit: boolean }> {
  let header: Buffer | null = Buffer.alloc(0);
  let eightBit = false;
  let utf8 = false;
  for await (const chunk of (await store.open(job.contentId)) as AsyncIterable<Buffer>) {
    eightBit ||= isHigh(chunk);
    if (header === null) {
      if (eightBit) break;
      continue;
    }
    header = Buffer.concat([header, chunk]);
    const end = header.indexOf(HEADER_END);
    if (end < 0) continue;
    utf8 = job.smtpUtf8 && isHigh(header.subarray(0, end));
    header = null;
  }
  if (header !== null) utf8 = job.smtpUtf8 && isHigh(header);
  return { utf8, eightBit };
}

function isHigh(bytes: Buffer): boolean {
  return bytes.some((byte) => byte > 0x7f);
}
