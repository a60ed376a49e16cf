import type { Mapping } from '../accounts/connections.ts';
import { errorCode, publicMessage } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { Subscription } from '../core/psa.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { asPartner, type BillingDeps, readLine } from './deps.ts';
import { MAILBOX_PROTECTION } from './usage.ts';

/** A line of a plan before it is stored. Quantities are null where they are not known: an unknown is never written. */
interface PlannedLine {
  readonly clientId: string;
  readonly product: string;
  readonly connectionId: string | null;
  readonly contractId: string | null;
  readonly lineId: string | null;
  readonly before: number | null;
  readonly target: number | null;
  readonly effectiveDate: string | null;
  readonly state: 'unchanged' | 'planned' | 'held';
  readonly reason: string | null;
}

interface Candidate {
  readonly clientId: string;
  readonly product: string;
  readonly quantity: number | null;
  readonly connectionId: string | null;
  readonly contractId: string | null;
  readonly lineId: string | null;
  readonly mappedConnection: string | null;
  readonly companyId: string | null;
  readonly mappingState: Mapping['state'] | null;
}

/** Beyond these a person has to look: a directory that was emptied by mistake must not empty the invoice. */
const MAX_FACTOR = 3;
const MAX_INCREASE = 50;

/**
 * Computes the difference between usage of a day (each client's own day of that date) and the PSA. Reads the PSA, writes
 * nothing there. Earlier plans that were not applied are superseded: only the newest can be.
 */
export async function createPlan(deps: BillingDeps, partner: string, usageDay: string): Promise<{ id: string }> {
  const id = asPartner(partner);
  const candidates = await deps.db.tenant(id, (tx) => listCandidates(tx, usageDay), { readOnly: true });
  // The PSA is asked outside of any transaction: it takes its time.
  const lines: PlannedLine[] = [];
  for (const candidate of candidates) lines.push(await planLine(deps, partner, candidate));
  return deps.db.tenant(id, (tx) => storePlan(tx, usageDay, lines));
}

function listCandidates(tx: TenantTx, usageDay: string): Promise<Candidate[]> {
  return tx.rows<Candidate>(sql`
    select c.id as "clientId", coalesce(s.product, ${MAILBOX_PROTECTION}) as product, u.quantity,
           s.connection_id as "connectionId", s.contract_id as "contractId", s.line_id as "lineId",
           m.connection_id as "mappedConnection", m.company_id as "companyId", m.state as "mappingState"
    from clients c
    left join subscriptions s on s.partner_id = c.partner_id and s.client_id = c.id
    left join psa_mappings m on m.partner_id = c.partner_id and m.client_id = c.id
    left join lateral (
      -- The day's own snapshot, or in a zone that is not there yet the one before.
      select x.quantity from usage_snapshots x
      where x.partner_id = c.partner_id and x.client_id = c.id and x.product = coalesce(s.product, ${MAILBOX_PROTECTION})
        and x.day between ${usageDay}::date - 1 and ${usageDay}::date + 1
      order by abs(x.day - ${usageDay}::date), x.day desc limit 1) as u on true
    where c.partner_id = ${tx.partnerId} and c.status = 'active'
    order by c.name, c.id`);
}

async function planLine(deps: BillingDeps, partner: string, candidate: Candidate): Promise<PlannedLine> {
  const { clientId, product, connectionId, contractId, lineId, quantity: target } = candidate;
  const base = { clientId, product, connectionId, contractId, lineId };
  const held = (reason: string, before: number | null = null): PlannedLine => ({
    ...base,
    before,
    target,
    effectiveDate: null,
    state: 'held',
    reason,
  });
  if (connectionId === null || contractId === null || lineId === null) return held('no_subscription');
  if (target === null) return held('no_snapshot');
  if (candidate.mappedConnection !== connectionId || candidate.mappingState !== 'ok')
    return held('mapping_needs_attention');
  let line: Subscription | null;
  try {
    const psa = await deps.psaFor(partner, connectionId);
    line = await readLine(psa, { contractId, lineId }, deps.clock.now().toISOString().slice(0, 10));
  } catch (error) {
    if (errorCode(error) === 'internal') throw error;
    deps.logger.warn({ clientId, err: error }, 'a billed line could not be read; it is held');
    return held(`read_failed: ${publicMessage(error)}`.slice(0, 300));
  }
  if (line === null) return held('no_line');
  if (line.companyId !== candidate.companyId) return held('line_of_another_company', line.quantity);
  if (line.status !== 'active') return held(`contract_${line.status}`, line.quantity);
  const before = line.quantity;
  const planned = { ...base, before, target, effectiveDate: line.earliestEffectiveDate, reason: null };
  if (before === target) return { ...planned, state: 'unchanged' };
  const tooLarge = (target === 0 && before > 0) || (target > before * MAX_FACTOR && target - before > MAX_INCREASE);
  return tooLarge ? held('change_too_large', before) : { ...planned, state: 'planned' };
}

async function storePlan(tx: TenantTx, usageDay: string, lines: readonly PlannedLine[]): Promise<{ id: string }> {
  const id = newId();
  await tx.run(sql`
    update billing_plans set state = 'superseded', finished_at = ${tx.now}
    where partner_id = ${tx.partnerId} and state in ('planned', 'approved')`);
  await tx.run(sql`
    insert into billing_plans (partner_id, id, usage_day, state, created_at)
    values (${tx.partnerId}, ${id}, ${usageDay}, 'planned', ${tx.now})`);
  for (const line of lines) {
    await tx.run(sql`
      insert into billing_lines (partner_id, plan_id, client_id, product, connection_id, contract_id, line_id, before_quantity,
                                 target_quantity, effective_date, state, reason)
      values (${tx.partnerId}, ${id}, ${line.clientId}, ${line.product}, ${line.connectionId}, ${line.contractId},
              ${line.lineId}, ${line.before}, ${line.target}, ${line.effectiveDate}, ${line.state}, ${line.reason})`);
  }
  return { id };
}
