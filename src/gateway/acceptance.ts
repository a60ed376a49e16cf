import type { StoredContent } from '../core/content.ts';
import { LEADS_CLIENT, LEADS_DOMAIN, LEADS_MAILBOX, LEADS_PARTNER } from '../core/event.ts';
import { newId } from '../core/id.ts';
import type { Envelope, MessageFacts, PipelineResult, RecipientContext, ThreatTrait } from '../core/message.ts';
import type { Action, Decision, Disposition } from '../core/verdict.ts';
import { groupBy } from './group.ts';
import { HOLD_POLICY } from './hold.ts';
import { stripDecision } from './strip.ts';

export type Transform = 'none' | 'tag' | 'strip';

export interface AcceptedDelivery {
  readonly id: string;
  readonly context: RecipientContext;
  readonly decision: Decision;
  readonly disposition: Extract<Disposition, 'queued' | 'delivered' | 'quarantined' | 'discarded' | 'rejected'>;
  readonly transform: Transform;
  /** Not null: it is queued and waits for a person; `hold.*` says why. */
  readonly held: string | null;
  readonly leads: number;
}

/** One partner's share of an SMTP transaction: a row of `messages` and its deliveries. */
export interface AcceptedMessage {
  readonly id: string;
  readonly partnerId: string;
  readonly content: StoredContent;
  readonly envelope: Envelope;
  readonly facts: MessageFacts;
  readonly authenticationResults: string | null;
  /** What it may share with other messages; absent for what we make ourselves. */
  readonly traits?: readonly ThreatTrait[];
  readonly deliveries: readonly AcceptedDelivery[];
  /**
   * What the queue rows are: `dsn` for notifications of our own making to the client's own people, `return` for notifications
   * to the sender of forwarded mail, `forward` for forwarded copies.
   */
  readonly kind: 'mail' | 'dsn' | 'forward' | 'return';
}

export interface Acceptance {
  readonly messages: readonly AcceptedMessage[];
  /** Every recipient is to be rejected: the transaction is answered 5xx. */
  readonly rejected: boolean;
}

const ENDS: Readonly<Record<Action, { disposition: AcceptedDelivery['disposition']; transform: Transform }>> = {
  deliver: { disposition: 'queued', transform: 'none' },
  hold: { disposition: 'queued', transform: 'none' },
  tag: { disposition: 'queued', transform: 'tag' },
  strip: { disposition: 'queued', transform: 'strip' },
  quarantine: { disposition: 'quarantined', transform: 'none' },
  discard: { disposition: 'discarded', transform: 'none' },
  reject: { disposition: 'rejected', transform: 'none' },
};

/**
 * What a transaction becomes, one decision per recipient. SMTP has one answer for all recipients of a transaction: it is
 * a rejection only if all are to be rejected; else those that are to be rejected are quarantined (no bounce: backscatter).
 */
export function acceptanceOf(
  content: StoredContent,
  envelope: Envelope,
  recipients: readonly RecipientContext[],
  result: PipelineResult,
  kind: AcceptedMessage['kind'] = 'mail',
): Acceptance {
  const decisions = recipients.map(({ policy }, index) => {
    const decision = result.decisions[index];
    if (decision === undefined) throw new Error('the pipeline left a recipient without a decision');
    return noteHold(stripDecision(decision, policy));
  });
  const rejected = decisions.every((decision) => decision.action === 'reject');
  const lead = leader();
  const byPartner = groupBy(
    recipients.map((context, index) => ({ context, decision: downgrade(decisions[index] as Decision, rejected) })),
    (one) => one.context.partnerId,
  );
  const messages = [...byPartner].map(([partnerId, share]) => ({
    id: newId(),
    partnerId,
    content,
    envelope,
    facts: result.facts,
    authenticationResults: result.authenticationResults,
    traits: result.traits ?? [],
    kind,
    deliveries: share.map(({ context, decision }) => ({
      id: newId(),
      context,
      decision,
      ...ENDS[decision.action],
      held: decision.action === 'hold' ? HOLD_POLICY : null,
      leads: lead(context),
    })),
  }));
  return { messages, rejected };
}

function noteHold(decision: Decision): Decision {
  if (decision.action !== 'hold') return decision;
  const reason = { code: HOLD_POLICY, detail: 'the message waits until a person releases it' };
  return { ...decision, reasons: [...decision.reasons, reason] };
}

function downgrade(decision: Decision, allRejected: boolean): Decision {
  if (decision.action !== 'reject' || allRejected) return decision;
  const reason = { code: 'policy.reject_downgraded', detail: 'other recipients of the message were accepted' };
  return { ...decision, action: 'quarantine', reasons: [...decision.reasons, reason] };
}

/** Says for which scopes a delivery is the first of its message, so that messages are counted by adding (core/event.ts). */
function leader(): (context: RecipientContext) => number {
  const seen = new Set<string>();
  const first = (key: string, bit: number) => {
    if (seen.has(key)) return 0;
    seen.add(key);
    return bit;
  };
  return ({ partnerId, clientId, domain, mailboxId }) =>
    first(`p ${partnerId}`, LEADS_PARTNER) |
    first(`c ${clientId}`, LEADS_CLIENT) |
    first(`d ${clientId} ${domain}`, LEADS_DOMAIN) |
    (mailboxId === null ? 0 : first(`m ${mailboxId}`, LEADS_MAILBOX));
}
