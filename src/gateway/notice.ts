import { Readable } from 'node:stream';
import { resolvePolicy } from '../accounts/policy.ts';
import { domainOf } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/message.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { buildDsn, type DsnRecipient, delayStatus } from '../mail/dsn.ts';
import { type AcceptedMessage, acceptanceOf } from './acceptance.ts';
import { writeMessages } from './commit.ts';
import { NODE_SILENT_MS } from './queue.ts';
import { EXPIRE_DAYS } from './retry.ts';
import type { Spool } from './spool.ts';

/** Octets of a message that a notification brings back at most; of a larger one it brings the header. */
const FULL_MAX = 1_048_576;
const ORIGINAL_MAX = 65_536;

/** A delivery that a notification is about. */
export interface Noticed {
  readonly partnerId: string;
  readonly clientId: string;
  readonly deliveryId: string;
  readonly contentId: string;
  readonly sender: string;
  readonly recipient: string;
  readonly bytes: number;
  readonly receivedAt: Date;
  readonly direction: 'inbound' | 'outbound';
  readonly kind: 'mail' | 'release' | 'dsn' | 'forward' | 'return' | 'original';
  readonly dsnRet: 'FULL' | 'HDRS' | null;
  readonly dsnEnvid: string | null;
  readonly dsnNotify: string | null;
  readonly dsnOrcpt: string | null;
}

export type NoticeAbout = 'FAILURE' | 'DELAY' | 'SUCCESS';

/**
 * Whether the sender is told: only of outbound mail, whose sender logged in (another may be forged: backscatter), never the
 * null sender, never of a notification; and as it asked by NOTIFY, else of failures and delays (RFC 3461 section 4.1).
 */
export function isTold(job: Noticed, about: NoticeAbout): boolean {
  if (job.direction !== 'outbound' || job.sender === '') return false;
  // What became of a forwarded copy is told by bounce.ts, and of a notification nobody is told.
  if (job.kind !== 'mail' && job.kind !== 'release') return false;
  return job.dsnNotify === null ? about !== 'SUCCESS' : job.dsnNotify.split(',').includes(about);
}

const SUBJECTS: Readonly<Record<DsnRecipient['action'], string>> = {
  failed: 'Undelivered mail returned to sender',
  delayed: 'Delayed mail, still being tried',
  relayed: 'Mail was handed on',
  delivered: 'Mail was delivered',
};

/**
 * A notification, stored and ready to be committed with what it tells of. It is one outbound message of the client with one
 * delivery, and counts as that. `as`: a `return`, out into the world, counted for a domain of the client.
 */
export async function noticeFor(
  spool: Spool,
  hostName: string,
  job: Noticed,
  what: Pick<DsnRecipient, 'action' | 'status' | 'remoteMta' | 'diagnostic' | 'willRetryUntil'>,
  now: Date,
  as: { readonly kind: 'dsn' | 'return'; readonly domain: string } = { kind: 'dsn', domain: domainOf(job.sender) },
): Promise<AcceptedMessage | null> {
  const full = job.dsnRet === 'FULL' && what.action === 'failed' && job.bytes <= FULL_MAX;
  const original = await firstBytes(spool, job.contentId, full ? FULL_MAX : ORIGINAL_MAX);
  const id = what.action === 'failed' ? job.deliveryId : `${job.deliveryId}.${what.action}`;
  const dsn = buildDsn({
    to: job.sender,
    reportingMta: hostName,
    id,
    at: now,
    arrivalDate: job.receivedAt,
    original: original ?? Buffer.from('\r\n'),
    full: full && original !== null,
    ...(job.dsnEnvid === null ? {} : { envelopeId: job.dsnEnvid }),
    recipients: [
      {
        recipient: job.recipient,
        ...(job.dsnOrcpt === null ? {} : { originalRecipient: job.dsnOrcpt }),
        ...what,
        lastAttempt: now,
      },
    ],
  });
  const content = await spool.write(Readable.from([dsn]));
  const envelope: Envelope = {
    sender: '',
    remoteAddress: '127.0.0.1',
    remoteName: null,
    helo: hostName,
    tls: false,
    direction: 'outbound',
    authenticatedAs: null,
    receivedAt: now,
    // RFC 3461 section 6.1: nobody is told what became of a notification.
    dsn: { ret: null, envid: null, recipients: new Map([[job.sender, { notify: 'NEVER', orcpt: null }]]) },
  };
  const { domain } = as;
  const context = {
    recipient: job.sender,
    domain,
    partnerId: job.partnerId,
    clientId: job.clientId,
    mailboxId: null,
    policy: resolvePolicy({}),
    lists: [],
    ownDomains: [domain],
  };
  const facts = {
    messageId: `<${id}@${hostName}>`,
    fromAddress: `mailer-daemon@${hostName}`,
    fromName: 'Mail Delivery System',
    subject: SUBJECTS[what.action],
    attachments: [],
  };
  const decisions = [{ verdict: 'clean' as const, action: 'deliver' as const, score: 0, reasons: [] }];
  const made = acceptanceOf(content, envelope, [context], { decisions, facts, authenticationResults: null }, as.kind);
  return made.messages[0] ?? null;
}

/** The beginning of the original; null when it is gone, which must not hold the notification back. */
async function firstBytes(spool: Spool, contentId: string, max: number): Promise<Buffer | null> {
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of (await spool.open(contentId)) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= max) break;
    }
    return Buffer.concat(chunks);
  } catch {
    return null;
  }
}

export interface NoticeDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly spool: Spool;
  /** `region`: of this node; absent or null: in none. */
  readonly config: { readonly nodeId: string; readonly hostName: string; readonly region?: string | null };
}

interface Late extends Noticed {
  readonly queuedAt: Date;
  readonly lastReply: string | null;
  readonly lastHost: string | null;
}

const BATCH = 100;

/**
 * Tells senders that their mail is late, once per delivery. Answers how many were told. Two nodes do not tell the same: a row
 * is told of by whoever clears its `notice_due_at`.
 */
export async function sendDelayNotices(deps: NoticeDeps): Promise<number> {
  const late = await deps.db.system((tx) => lateDeliveries(tx, deps.config.region ?? null), { readOnly: true });
  if (late.length === 0) return 0;
  const notices = new Map<string, AcceptedMessage>();
  /** Null: what was written is unclear, since COMMIT was sent. */
  let written: ReadonlySet<string> | null = new Set();
  try {
    for (const job of late) {
      const notice = isTold(job, 'DELAY') ? await delayNotice(deps, job) : null;
      if (notice !== null) notices.set(job.deliveryId, notice);
    }
    const told = await deps.db.system(async (tx) => {
      const cleared = await clearDue(tx, late);
      const mine = new Set([...notices.keys()].filter((id) => cleared.has(id)));
      await writeMessages(
        tx,
        [...notices].flatMap(([id, notice]) => (mine.has(id) ? [notice] : [])),
        deps.config.nodeId,
      );
      written = null;
      return mine;
    });
    written = told;
    return told.size;
  } finally {
    // It is tried again every second: a disk or a database that fails must not fill the spool with what nobody gets.
    const kept = written;
    const unused = kept === null ? [] : [...notices].filter(([id]) => !kept.has(id));
    for (const [, notice] of unused) await deps.spool.remove(notice.content.id).catch(() => undefined);
  }
}

function delayNotice({ spool, config, clock }: NoticeDeps, job: Late): Promise<AcceptedMessage | null> {
  const willRetryUntil = new Date(job.queuedAt.getTime() + EXPIRE_DAYS * 86_400_000);
  const { lastReply: diagnostic, lastHost: remoteMta } = job;
  const what = { action: 'delayed' as const, status: delayStatus(diagnostic), remoteMta, diagnostic, willRetryUntil };
  return noticeFor(spool, config.hostName, job, what, clock.now());
}

/** Of mail that another gateway may work on and this one may not, that one tells: a notification holds part of the mail. */
function lateDeliveries(tx: SystemTx, region: string | null): Promise<Late[]> {
  const alive = new Date(tx.now.getTime() - NODE_SILENT_MS);
  return tx.rows<Late>(sql`
    select q.partner_id as "partnerId", q.client_id as "clientId", q.delivery_id as "deliveryId", q.content_id as "contentId",
           q.sender, q.recipient, q.kind, q.queued_at as "queuedAt", q.last_reply as "lastReply", d.direction,
           m.bytes, m.received_at as "receivedAt", m.dsn_ret as "dsnRet", m.dsn_envid as "dsnEnvid",
           d.dsn_notify as "dsnNotify", d.dsn_orcpt as "dsnOrcpt",
           (select a.host from delivery_attempts a
            where a.partner_id = q.partner_id and a.delivery_id = q.delivery_id and a.code > 0
            order by a.at desc, a.id desc limit 1) as "lastHost"
    from queue q
    join deliveries d on d.partner_id = q.partner_id and d.id = q.delivery_id
    join messages m on m.partner_id = q.partner_id and m.id = q.message_id
    where q.notice_due_at <= ${tx.now}
      and (region_allows(q.partner_id, q.client_id, q.delivery_id, ${region}::text) or not exists (
        select from node_regions n
        where n.seen_at > ${alive} and region_allows(q.partner_id, q.client_id, q.delivery_id, n.region)))
    order by q.notice_due_at limit ${BATCH}`);
}

async function clearDue(tx: SystemTx, late: readonly Late[]): Promise<Set<string>> {
  const rows = await tx.rows<{ id: string }>(sql`
    update queue q set notice_due_at = null
    from unnest(${late.map((one) => one.partnerId)}::uuid[], ${late.map((one) => one.deliveryId)}::uuid[]) as e (partner_id, id)
    where q.partner_id = e.partner_id and q.delivery_id = e.id and q.notice_due_at is not null
    returning q.delivery_id as id`);
  return new Set(rows.map((row) => row.id));
}
