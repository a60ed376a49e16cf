import type { DkimAlgorithm, DkimKey } from '../accounts/dkim.ts';
import type { ApiCaller } from '../accounts/keys.ts';
import type { RecordAdvice, ReportRecords } from '../core/advice.ts';
import type { TenantTx } from '../db/db.ts';
import type { MailPreview } from '../mail/preview.ts';
import type { QuarantineActor } from '../quarantine/rights.ts';

/**
 * What the API sets off and does not do itself: the composition root hands in the domain's own commands. Those with a
 * transaction write in it, audit entry included. All throw AppErrors; `not_found` for another tenant's id too.
 */
export interface Commands extends OutboundCommands {
  /** Idempotent: `released` is false when it was released before. Throws `conflict` when it is not in quarantine. */
  releaseDelivery(tx: TenantTx, deliveryId: string, actor: QuarantineActor): Promise<{ readonly released: boolean }>;
  /** Idempotent: `discarded` is false when it was discarded before. Throws `conflict` when it is not in quarantine. */
  /** Makes a client's waiting mail due now; answers how many deliveries that is. */
  flushQueue(tx: TenantTx, clientId: string, actor: string): Promise<{ readonly deliveries: number }>;
  discardDelivery(tx: TenantTx, deliveryId: string, actor: QuarantineActor): Promise<{ readonly discarded: boolean }>;
  /** A stored message made safe to look at; who looked is noted. Throws `not_found` when its body is gone, `limit_exceeded`. */
  previewMessage(caller: ApiCaller, seen: SeenMessage): Promise<MailPreview>;
  /** The first octets of a stored message and their number in all; noted too. Throws `not_found` when its body is gone. */
  messageSource(
    caller: ApiCaller,
    seen: SeenMessage,
    max: number,
  ): Promise<{ readonly bytes: Buffer; readonly total: number }>;
  /** Answers the sender as the mailbox. Takes its own transactions: it waits for the filter. */
  replyToDelivery(
    caller: ApiCaller,
    actor: QuarantineActor,
    input: { readonly deliveryId: string; readonly text: string; readonly subject: string | null },
  ): Promise<{ readonly deliveryId: string; readonly sent: boolean }>;
  /** Ends an open incident; a resolved one stays as it is. */
  resolveIncident(tx: TenantTx, incidentId: string, resolution: string, actor: string): Promise<void>;
  /** Answers with the run's id; the run that is there already when the same is asked for again. */
  requestReport(tx: TenantTx, wanted: ReportWanted, actor: string): Promise<{ readonly id: string }>;
  /** Sends a mailbox its digest. Throws `not_found` for another tenant's too, `conflict` when it gets none. */
  sendDigest(caller: ApiCaller, mailboxId: string): Promise<{ readonly sent: boolean }>;
  /**
   * Computes a plan for a day (`YYYY-MM-DD`). Reads the PSA, writes nothing there. `largeChanges`: lines that change more than is
   * usual are planned, not held.
   */
  createBillingPlan(caller: ApiCaller, usageDay: string, largeChanges: boolean): Promise<{ readonly id: string }>;
  /** Throws `conflict` when the plan is beyond approval. */
  approveBillingPlan(tx: TenantTx, planId: string, actor: string): Promise<void>;
  /** Sees to it that an approved plan is applied, soon and once. Throws `conflict` when it is not approved. */
  applyBillingPlan(caller: ApiCaller, planId: string): Promise<void>;
}

/** Whose copy of which body somebody looks at. */
export interface SeenMessage {
  /** The delivery. */
  readonly id: string;
  readonly contentId: string;
  readonly recipient: string;
}

/** Days are the client's, `YYYY-MM-DD`, both included. */
export interface ReportWanted {
  readonly clientId: string;
  readonly report: string;
  readonly from: string;
  readonly to: string;
}

/** Whether a key's DNS record is as it should be; `unavailable`: the name servers did not answer. */
export type DkimRecordState = 'published' | 'missing' | 'different' | 'unavailable';

/** What needs keys, the resolver or the operator's settings. */
export interface OutboundCommands {
  spfAdvice(domain: string): Promise<RecordAdvice>;
  dmarcAdvice(domain: string): Promise<RecordAdvice>;
  /** The records for a domain's address for reports, by its token; null: there are no such addresses. */
  reportRecords(domain: string, token: string): Promise<ReportRecords | null>;
  /** Whether the SPF record of a domain, or of this gateway (null), allows an address; null: nobody can say. */
  spfAllows(domain: string | null, ip: string): Promise<boolean | null>;
  dkimState(key: DkimKey): Promise<DkimRecordState>;
  dkimRecord(key: DkimKey): string;
  /** Makes a key that does not sign yet. `selector` null: one of the day. */
  createDkimKey(tx: TenantTx, wanted: DkimWanted, actor: string): Promise<DkimKey>;
  /** Throws `conflict` when the DNS record is not as it should be, unless forced; `unavailable` when nobody knows. */
  activateDkimKey(caller: ApiCaller, id: string, isForced: boolean): Promise<DkimKey>;
}

export interface DkimWanted {
  readonly domain: string;
  readonly selector: string | null;
  readonly algorithm: DkimAlgorithm;
}
