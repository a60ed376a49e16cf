import type { DkimAlgorithm, DkimKey } from '../accounts/dkim.ts';
import type { ApiCaller } from '../accounts/keys.ts';
import type { RecordAdvice } from '../core/advice.ts';
import type { TenantTx } from '../db/db.ts';

/**
 * What the API sets off and does not do itself: the composition root hands in the domain's own commands. Those with a
 * transaction write in it, audit entry included. All throw AppErrors; `not_found` for another tenant's id too.
 */
export interface Commands extends OutboundCommands {
  /** Idempotent: `released` is false when it was released before. Throws `conflict` when it is not in quarantine. */
  releaseDelivery(tx: TenantTx, deliveryId: string, actor: string): Promise<{ readonly released: boolean }>;
  /** Idempotent: `discarded` is false when it was discarded before. Throws `conflict` when it is not in quarantine. */
  discardDelivery(tx: TenantTx, deliveryId: string, actor: string): Promise<{ readonly discarded: boolean }>;
  /** Makes a client's waiting mail due now; answers how many deliveries that is. */
  flushQueue(tx: TenantTx, clientId: string, actor: string): Promise<{ readonly deliveries: number }>;
  /** Ends an open incident; a resolved one stays as it is. */
  resolveIncident(tx: TenantTx, incidentId: string, resolution: string, actor: string): Promise<void>;
  /** Answers with the run's id; the run that is there already when the same is asked for again. */
  requestReport(tx: TenantTx, wanted: ReportWanted, actor: string): Promise<{ readonly id: string }>;
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
