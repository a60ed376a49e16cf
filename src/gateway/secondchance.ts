import { PassThrough, pipeline, type Readable } from 'node:stream';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { enhancedStatus } from '../mail/dsn.ts';
import { Reencode } from '../mail/reencode.ts';
import type { Attempt } from './attempts.ts';
import { Dialog, type DialogReply } from './dialog.ts';
import type { Job } from './queue.ts';
import type { Destination, Parcel, RelayReply, RelayResult } from './relay.ts';
import { plainResult, TlsFailure, type TlsResult, tlsResultOf } from './tls.ts';

/** Reason on the event of a delivery that only arrived this way. */
export const SECOND_CHANCE = 'delivery.second_chance';

const NOTE = 'X-Tollgate-Second-Chance: re-encoded\r\n';
const AGE_MS = 3_600_000;
const BYTES_MAX = 100_000_000;
const REMEMBERED = 10_000;

const GREYLIST = /gr[ea]y.?list|come back|(?:re)?try (?:again )?in \d|wait \d|\b4\.7\.\d/i;
const TROUBLE =
  /line.{0,20}too long|too long.{0,20}line|long lines?|line.?length|\bmime\b|bare.?(?:lf|cr|line ?feed)|8.?bit|pipelin|malformed|improper|non.?ascii|not rfc|\b5\.6\.\d/i;
const POLICY = /spam|virus|malware|phish|block.?list|black.?list|reputation|junk/i;
/** The server did not understand a command or one of its parameters. */
const SYNTAX = new Set([500, 501, 502, 503, 504, 555]);

/**
 * Whether a delivery that was not taken is tried the other way: its server is up and lets us in, does not greylist us, and
 * keeps deferring it for an hour, or refuses it for its form. What is refused as a person's or a policy's decision (no such
 * mailbox, mailbox full, spam) is not: the other way is for broken receivers, not for going round a filter.
 */
export function deservesSecondChance(job: Job, result: RelayResult, now: Date): boolean {
  const reply = result.replies.get(job.recipient);
  if (reply === undefined || reply.isOurs === true || job.kind === 'dsn' || job.bytes >= BYTES_MAX) return false;
  // Addresses beyond ASCII need the extension that this way does without (RFC 6531).
  if (!/^[\x21-\x7e]*$/.test(job.sender) || !/^[\x21-\x7e]+$/.test(job.recipient)) return false;
  const isOld = now.getTime() - job.queuedAt.getTime() > AGE_MS;
  const isDeferred = isOld && job.attempts > 1 && !isTlsBound(result);
  // What was sent and not answered may have been taken: it is tried again in its time, and not twice in a row.
  if (reply.code === 0) return isDeferred && result.greeted === true && reply.afterData !== true;
  if (reply.code === 421 || (reply.code >= 200 && reply.code < 400)) return false;
  const [kind = '', subject = ''] = enhancedStatus(reply.text).split('.');
  if (subject === '1' || subject === '2') return false;
  if (POLICY.test(reply.text)) return false;
  if (reply.code < 500) return isDeferred && kind === '4' && !GREYLIST.test(reply.text);
  if (TROUBLE.test(reply.text) || SYNTAX.has(reply.code)) return true;
  return isOld && reply.afterData === true && subject !== '7';
}

/** It failed for want of TLS that holds, which is wanted on every way. */
function isTlsBound(result: RelayResult): boolean {
  const isWanted = result.tlsPolicy === 'required' || result.tlsPolicy === 'mta-sts enforce';
  return isWanted && (result.tlsVersion ?? null) === null;
}

export interface SecondChanceOptions {
  readonly hostName: string;
  /** Own address to leave from; null: the usual one. */
  readonly source: string | null;
  /** Milliseconds for one answer, and for all connections together: less than the lease of a queue row lasts. */
  readonly timeoutMs?: number;
  readonly deadlineMs?: number;
  readonly ca?: string | undefined;
}

/** How the next connection begins. */
interface Manner {
  readonly hello: 'EHLO' | 'HELO';
  readonly tls: boolean;
}

class NotAsked extends Error {
  readonly next: Manner;

  constructor(cause: Error, next: Manner) {
    super(cause.message, { cause });
    this.next = next;
  }
}

/**
 * Sends a message written anew (Reencode), by plain SMTP: one command at a time, no extensions but TLS, HELO where EHLO is
 * not understood. TLS is held to the same policy as ever. Never rejects.
 */
export async function sendSecondChance(
  options: SecondChanceOptions,
  to: Destination,
  parcel: Parcel,
): Promise<RelayResult> {
  let manner: Manner = { hello: 'EHLO', tls: to.tls !== 'none' };
  const { deadlineMs = 480_000 } = options;
  const end = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await sendOnce({ ...options, deadlineMs: Math.max(1, end - performance.now()) }, to, parcel, manner);
    } catch (error) {
      if (error instanceof NotAsked && end - performance.now() > 10) {
        manner = error.next;
        continue;
      }
      const text = error instanceof Error ? error.message : String(error);
      const replies = new Map(parcel.recipients.map((one) => [one, { code: 0, text }]));
      return { replies, failure: text, ...plainResult(to.policy ?? to.tls) };
    }
  }
}

async function sendOnce(
  options: SecondChanceOptions,
  to: Destination,
  parcel: Parcel,
  manner: Manner,
): Promise<RelayResult> {
  const { address, port } = to;
  const { source: localAddress, timeoutMs = 120_000, deadlineMs = 480_000 } = options;
  const dialog = await Dialog.open({ address, port, localAddress, timeoutMs, deadlineMs });
  try {
    const banner = await dialog.reply();
    if (banner.code !== 220) return answered(parcel, banner, plainResult(to.policy ?? to.tls));
    const tls = await greet(dialog, options, to, manner);
    const mail = await dialog.say(`MAIL FROM:<${parcel.sender}>`);
    if (!isTaken(mail)) return answered(parcel, mail, tls);
    const replies = new Map<string, RelayReply>();
    for (const recipient of parcel.recipients) replies.set(recipient, await dialog.say(`RCPT TO:<${recipient}>`));
    const taken = parcel.recipients.filter((one) => isTaken(replies.get(one)));
    if (taken.length === 0) return { replies, failure: null, ...tls };
    const go = await dialog.say('DATA');
    const end = go.code === 354 ? await dialog.send(await rewritten(parcel)) : go;
    for (const recipient of taken) replies.set(recipient, { ...end, afterData: true });
    // The message is with the server by now; whether it hears QUIT changes nothing.
    await dialog.say('QUIT').catch(() => undefined);
    return { replies, failure: null, ...tls };
  } finally {
    dialog.close();
  }
}

/** Up to the point where mail can be said. Throws NotAsked where a new connection is to begin otherwise. */
async function greet(
  dialog: Dialog,
  options: SecondChanceOptions,
  to: Destination,
  manner: Manner,
): Promise<TlsResult> {
  const policy = to.policy ?? to.tls;
  const isRequired = to.tls === 'required';
  let hello: DialogReply;
  try {
    hello = await dialog.say(`${manner.hello} ${options.hostName}`);
  } catch (error) {
    // There are servers that hang up on EHLO.
    if (manner.hello === 'HELO' || isRequired) throw error;
    throw new NotAsked(error as Error, { hello: 'HELO', tls: false });
  }
  if (!isTaken(hello)) {
    if (isRequired) throw new TlsFailure(`TLS is required and EHLO is refused: ${hello.text}`);
    const second = await dialog.say(`HELO ${options.hostName}`);
    if (!isTaken(second)) throw new Error(second.text);
    return plainResult(policy);
  }
  const isOffered = manner.hello === 'EHLO' && /^250[ -]STARTTLS\s*$/im.test(hello.text);
  if (!manner.tls || !(isOffered || isRequired)) return plainResult(policy);
  try {
    const ready = await dialog.say('STARTTLS');
    if (ready.code !== 220) throw new TlsFailure(ready.text);
    const socket = await dialog.secure({ host: to.host, verify: isRequired, ca: options.ca });
    const again = await dialog.say(`EHLO ${options.hostName}`);
    if (!isTaken(again)) throw new TlsFailure(again.text);
    return tlsResultOf(socket, policy, to.isListed !== false);
  } catch (error) {
    if (isRequired) throw error;
    throw new NotAsked(error as Error, { hello: 'EHLO', tls: false });
  }
}

function isTaken(reply: RelayReply | undefined): boolean {
  return reply !== undefined && reply.code >= 200 && reply.code < 300;
}

function answered(parcel: Parcel, reply: DialogReply, tls: TlsResult): RelayResult {
  return { replies: new Map(parcel.recipients.map((one) => [one, reply])), failure: null, ...tls };
}

async function rewritten(parcel: Parcel): Promise<Readable> {
  // `pipeline` carries an error of either on to the reader, as `pipe` would not.
  return pipeline(await parcel.open(), new Reencode(NOTE), new PassThrough(), () => undefined);
}

/** What became of a second chance: the replies that count, and the attempt of each recipient that got one. */
export interface SecondChance {
  readonly result: RelayResult;
  readonly delivered: ReadonlySet<string>;
  readonly attempts: ReadonlyMap<string, Attempt>;
}

/**
 * Joins the two results: who was delivered to by the second is delivered to; for everybody else what the server said first
 * stands, since that is about the message as it was sent.
 */
export function joinResults(
  first: RelayResult,
  second: RelayResult,
  to: Destination,
  facts: Pick<Attempt, 'at' | 'durationMs' | 'region'>,
): SecondChance {
  const replies = new Map(first.replies);
  const delivered = new Set<string>();
  const attempts = new Map<string, Attempt>();
  for (const [recipient, reply] of second.replies) {
    if (isTaken(reply)) {
      delivered.add(recipient);
      replies.set(recipient, reply);
    }
    attempts.set(recipient, {
      ...facts,
      host: to.host,
      address: to.address,
      port: to.port,
      tlsVersion: second.tlsVersion ?? null,
      tlsCipher: second.tlsCipher ?? null,
      tlsVerified: (second.tlsVersion ?? null) === null ? null : (second.tlsVerified ?? null),
      code: reply.code,
      reply: reply.text,
      path: 'second_chance',
    });
  }
  return { result: { ...first, replies }, delivered, attempts };
}

/** Holds deferred mail to one second chance an hour: a delivery that is tried every five minutes is not sent twice as often. */
export class Hourly {
  readonly #last = new Map<string, number>();

  /** True: it may be tried now, and is counted as tried. */
  allows(deliveryId: string, now: Date): boolean {
    const last = this.#last.get(deliveryId);
    if (last !== undefined && now.getTime() - last < AGE_MS) return false;
    this.#last.delete(deliveryId);
    this.#last.set(deliveryId, now.getTime());
    for (const oldest of this.#last.keys()) {
      if (this.#last.size <= REMEMBERED) break;
      this.#last.delete(oldest);
    }
    return true;
  }
}

/** For /metrics: how many deliveries were tried a second time, and how many of them arrived. */
export async function countSecondChances(tx: SystemTx, tried: number, delivered: number): Promise<void> {
  if (tried === 0) return;
  // In one order for everybody, so that two transactions do not wait for each other.
  await tx.run(sql`
    with locked as (select c.name from delivery_counters c order by c.name for update)
    update delivery_counters c set value = c.value + n.value
    from locked l
    join (values ('second_chance_tried', ${tried}::bigint), ('second_chance_delivered', ${delivered}::bigint)) as n (name, value)
      on n.name = l.name
    where c.name = l.name`);
}
