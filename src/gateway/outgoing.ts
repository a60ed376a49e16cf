import { PassThrough, pipeline, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ContentStore } from '../core/content.ts';
import { authenticationResultsField, EditHeaders, type HeaderEdits } from '../mail/headers.ts';
import { receivedField } from '../mail/received.ts';
import { stripAttachments } from '../mail/strip.ts';
import type { Job } from './queue.ts';
import { isOneOf } from './strip.ts';

const SPAM_TAG = '[SPAM]';

/** The message as it goes out: our fields on top, forged ones gone, tagged or stripped as decided. Rejects when it can't be. */
export async function outgoing(store: ContentStore, hostName: string, job: Job, recipients: number): Promise<Readable> {
  const source = await store.open(job.contentId);
  if (job.kind === 'dsn') return source;
  const edits: HeaderEdits = {
    authservId: hostName,
    prepend: [
      receivedField({
        helo: job.helo,
        remoteAddress: job.remoteAddress,
        remoteName: null,
        by: hostName,
        protocol: protocolOf(job),
        id: job.contentId,
        recipient: recipients === 1 ? job.recipient : null,
        at: job.receivedAt,
      }),
      ...(job.authenticationResults === null ? [] : [authenticationResultsField(job.authenticationResults)]),
    ],
    ...(job.transform === 'tag' && job.kind === 'mail' ? { subjectTag: SPAM_TAG } : {}),
  };
  const isStripped = job.transform === 'strip' && job.kind === 'mail';
  const from = isStripped ? Readable.from([await stripped(source, job)]) : source;
  // `pipeline` carries an error of the disk on to the reader, as `pipe` would not.
  return pipeline(from, new EditHeaders(edits), new PassThrough(), () => undefined);
}

async function stripped(source: Readable, job: Job): Promise<Buffer> {
  const { message, removed } = await stripAttachments(await buffer(source), (file) =>
    isOneOf(job.strip, file.inspection),
  );
  // Whole it must not go out: it was let through only without the file.
  if (removed.length === 0) throw new Error('the file to be taken out was not found again');
  return message;
}

function protocolOf(job: Job): 'ESMTP' | 'ESMTPS' | 'ESMTPA' | 'ESMTPSA' {
  if (job.direction === 'outbound') return job.tls ? 'ESMTPSA' : 'ESMTPA';
  return job.tls ? 'ESMTPS' : 'ESMTP';
}
