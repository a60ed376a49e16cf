import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { Learnable } from '../pipeline/learned.ts';
import { type Example, TRAINING } from './train.ts';

export interface Client {
  readonly partnerId: string;
  readonly clientId: string;
}

/** Feedback that may count, with what is known of its features; `example` null: not read yet, or by an older model. */
export interface Said {
  readonly id: string;
  readonly kind: 'spam' | 'ham';
  readonly voice: string;
  readonly isStaff: boolean;
  readonly mailboxId: string | null;
  readonly at: Date;
  readonly contentId: string;
  readonly example: { readonly features: Uint32Array | null; readonly margin: number } | null;
}

const DAY_MS = 86_400_000;
/** Changes that are behind a training by less may have committed after it. */
const OVERLAP_MS = 3_600_000;
const AGES_MS = 7 * DAY_MS;

/** Clients whose people said something since their last training, and those whose model is to age, longest untrained first. */
export function clientsDue(tx: SystemTx, max: number): Promise<Client[]> {
  const overlap = `${OVERLAP_MS} milliseconds`;
  return tx.rows<Client>(sql`
    select f.partner_id as "partnerId", f.client_id as "clientId"
    from (select partner_id, client_id, max(at) as at from message_feedback group by partner_id, client_id) f
    left join client_models m on m.partner_id = f.partner_id and m.client_id = f.client_id
    where m.trained_at is null or f.at >= m.trained_at - ${overlap}::interval
    union
    select partner_id, client_id from client_models where trained_at < ${new Date(tx.now.getTime() - AGES_MS)}
    order by 1, 2 limit ${max}`);
}

interface SaidRow {
  id: string;
  kind: 'spam' | 'ham';
  voice: string;
  staff: boolean;
  mailbox_id: string | null;
  at: Date;
  content_id: string;
  model_version: number | null;
  features: Buffer | null;
  margin: number | null;
}

/**
 * What a client's people said lately, in the order of time: of each voice the first of each day. A user speaks with the voice of
 * the mailbox that the message came to, however many people read it. That malware or a fraud was let out teaches nothing.
 */
export async function saidOf(tx: SystemTx, client: Client, modelVersion: number): Promise<Said[]> {
  const rows = await tx.rows<SaidRow>(sql`
    select * from (
      select f.id, f.kind, v.voice, f.actor_kind <> 'user' as staff,
             case when f.actor_kind = 'user' then f.mailbox_id end as mailbox_id, f.at, f.content_id,
             e.model_version, e.features, e.margin,
             row_number() over (partition by v.voice, (f.at at time zone 'UTC')::date order by f.at, f.id) as nth
      from message_feedback f
      cross join lateral (select case when f.actor_kind = 'user' then 'm ' || f.mailbox_id::text else 'a ' || f.actor end) v (voice)
      left join learned_examples e on e.partner_id = f.partner_id and e.feedback_id = f.id
      where f.partner_id = ${client.partnerId} and f.client_id = ${client.clientId} and v.voice is not null
        and f.at >= ${new Date(tx.now.getTime() - (TRAINING.keptDays + 1) * DAY_MS)}
        and not (f.kind = 'ham' and f.verdict in ('malware', 'phish', 'spoof', 'policy'))) s
    where s.nth <= ${TRAINING.perVoiceAndDay}
    order by s.at desc, s.id desc limit ${4 * TRAINING.perClient}`);
  return rows.reverse().map((row) => ({
    id: row.id,
    kind: row.kind,
    voice: row.voice,
    isStaff: row.staff,
    mailboxId: row.mailbox_id,
    at: row.at,
    contentId: row.content_id,
    example:
      row.model_version === modelVersion
        ? { features: row.features === null ? null : fromBytes(row.features), margin: row.margin ?? 0 }
        : null,
  }));
}

/** Those whose features are known, as train.ts takes them. */
export function examplesOf(said: readonly Said[]): Example[] {
  return said.flatMap(({ example, ...one }) =>
    example === null || example.features === null
      ? []
      : [{ ...one, features: example.features, margin: example.margin }],
  );
}

/** Null: the body can not be read; what was read of it by an older model stays. */
export interface ReadExample {
  readonly feedbackId: string;
  readonly learnable: Learnable | null;
}

export async function keepExamples(
  tx: SystemTx,
  client: Client,
  modelVersion: number,
  examples: readonly ReadExample[],
): Promise<void> {
  if (examples.length === 0) return;
  const pick = <T>(value: (one: ReadExample) => T) => examples.map(value);
  await tx.run(sql`
    insert into learned_examples as l (partner_id, client_id, feedback_id, model_version, features, margin)
    select ${client.partnerId}, ${client.clientId}, f.id, ${modelVersion}, n.features, n.margin
    from unnest(${pick((one) => one.feedbackId)}::uuid[], ${pick(({ learnable }) => bytesOf(learnable))}::bytea[],
                ${pick(({ learnable }) => learnable?.margin ?? 0)}::double precision[]) as n (id, features, margin)
    join message_feedback f on f.partner_id = ${client.partnerId} and f.id = n.id
    on conflict (partner_id, feedback_id) do update set model_version = excluded.model_version,
      features = coalesce(excluded.features, l.features),
      margin = case when excluded.features is null then l.margin else excluded.margin end`);
}

function bytesOf(learnable: Learnable | null): Buffer | null {
  if (learnable === null) return null;
  const bytes = Buffer.alloc(4 * learnable.features.length);
  for (const [index, id] of learnable.features.entries()) bytes.writeUInt32LE(id, 4 * index);
  return bytes;
}

function fromBytes(bytes: Buffer): Uint32Array {
  return Uint32Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readUInt32LE(4 * index));
}

export interface ModelRow {
  readonly version: number;
  readonly model: Buffer;
}

/** The client's model, locked until the end of the transaction whether or not there is one. */
export async function lockModel(tx: SystemTx, client: Client): Promise<ModelRow | null> {
  await tx.rows(sql`select pg_advisory_xact_lock(hashtextextended(${`learning ${client.clientId}`}, 0))`);
  return tx.maybe<ModelRow>(sql`
    select version, model from client_models
    where partner_id = ${client.partnerId} and client_id = ${client.clientId}`);
}

/** Writes the model of a training; of a client that was removed meanwhile nothing. */
export async function keepModel(
  tx: SystemTx,
  client: Client,
  model: ModelRow & { readonly examples: number; readonly asOf: string },
): Promise<void> {
  await tx.run(sql`
    insert into client_models as m (partner_id, client_id, version, model, examples, as_of, trained_at)
    select c.partner_id, c.id, ${model.version}, ${model.model}, ${model.examples}, ${model.asOf}::date, ${tx.now}
    from clients c where c.partner_id = ${client.partnerId} and c.id = ${client.clientId}
    on conflict (partner_id, client_id) do update set version = excluded.version, model = excluded.model,
      examples = excluded.examples, as_of = excluded.as_of, trained_at = excluded.trained_at`);
}
