import { PassThrough, pipeline, Readable, Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ContentStore } from '../core/content.ts';
import { type ArcKey, arcSet, chainState } from '../mail/arc.ts';
import { dkimSignatures, type SigningKey } from '../mail/dkim.ts';
import { cleanToken, formatField } from '../mail/format.ts';
import { authenticationResultsField, EditHeaders, type HeaderEdits } from '../mail/headers.ts';
import { receivedField } from '../mail/received.ts';
import { stripAttachments } from '../mail/strip.ts';
import type { Job } from './queue.ts';
import { isOneOf } from './strip.ts';

const SPAM_TAG = '[SPAM]';

/** What outbound and changed mail is signed with. */
export interface Signing {
  /** The active DKIM keys of the client for this message; none: it goes unsigned. */
  keysFor(job: Job): Promise<readonly SigningKey[]>;
  /** Null: changed mail is not sealed. */
  readonly arc: ArcKey | null;
}

/**
 * The message as it goes out: our fields on top, forged ones gone, tagged or stripped as decided, signed or sealed over what
 * came of it. Signing reads the message once more, so that it is never in memory whole. Rejects when it can't be.
 */
export async function outgoing(
  store: ContentStore,
  hostName: string,
  job: Job,
  recipients: number,
  signing: Signing | null = null,
  now: Date = job.receivedAt,
): Promise<Readable> {
  if (job.kind === 'dsn' || signing === null) return written(store, hostName, job, recipients);
  const top = await signatures(signing, job, now, () => written(store, hostName, job, recipients));
  const message = await written(store, hostName, job, recipients);
  if (top === '') return message;
  return pipeline(message, prefixed(top), () => undefined);
}

/** The fields of DKIM and ARC, as text; empty where nothing is to be signed. */
async function signatures(signing: Signing, job: Job, now: Date, open: () => Promise<Readable>): Promise<string> {
  if (job.direction === 'outbound' && (job.kind === 'mail' || job.kind === 'release')) {
    const keys = await signing.keysFor(job);
    return keys.length === 0 ? '' : (await dkimSignatures(await open(), keys, now)).join('');
  }
  // Mail that we changed has lost its signatures, and a forwarded copy its SPF: our word takes their place (RFC 8617).
  const isChanged = job.kind === 'forward' || (job.kind === 'mail' && job.transform !== 'none');
  if (!isChanged || signing.arc === null || job.authenticationResults === null) return '';
  const chain = chainState(job.authenticationResults);
  if (chain === null) return '';
  const { authenticationResults } = job;
  return arcSet(await open(), signing.arc, { authenticationResults, chain, at: now });
}

function prefixed(top: string): Transform {
  let isFirst = true;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (isFirst) this.push(Buffer.from(top, 'latin1'));
      isFirst = false;
      done(null, chunk);
    },
  });
}

async function written(store: ContentStore, hostName: string, job: Job, recipients: number): Promise<Readable> {
  const source = await store.open(job.contentId);
  if (job.kind === 'dsn') return source;
  const edits: HeaderEdits = {
    authservId: hostName,
    prepend: [
      // The mark by which a loop is seen when the copy comes back.
      ...(job.forwardedFor === null ? [] : [formatField('Delivered-To', cleanToken(job.forwardedFor))]),
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
    ...(job.transform === 'tag' && isPlain(job) ? { subjectTag: SPAM_TAG } : {}),
  };
  const isStripped = job.transform === 'strip' && isPlain(job);
  const from = isStripped ? Readable.from([await stripped(source, job)]) : source;
  // `pipeline` carries an error of the disk on to the reader, as `pipe` would not.
  return pipeline(from, new EditHeaders(edits), new PassThrough(), () => undefined);
}

/** Not a release, which goes as it came. */
const isPlain = (job: Job) => job.kind === 'mail' || job.kind === 'forward';

async function stripped(source: Readable, job: Job): Promise<Buffer> {
  const { message, removed } = await stripAttachments(await buffer(source), (file) =>
    isOneOf(job.strip, file.inspection),
  );
  // Whole it must not go out: it was let through only without the file.
  if (removed.length === 0) throw new Error('the file to be taken out was not found again');
  return message;
}

function protocolOf(job: Job): 'ESMTP' | 'ESMTPS' | 'ESMTPA' | 'ESMTPSA' {
  if (job.kind === 'forward' || job.kind === 'return') return job.tls ? 'ESMTPS' : 'ESMTP';
  if (job.direction === 'outbound') return job.tls ? 'ESMTPSA' : 'ESMTPA';
  return job.tls ? 'ESMTPS' : 'ESMTP';
}
