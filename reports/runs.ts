import { createHash } from 'node:crypto';
import type { Clock } from '../src/core/clock.ts';
import { publicMessage } from '../src/core/errors.ts';
import { newId } from '../src/core/id.ts';
import type { Logger } from '../src/core/log.ts';
import { interval } from '../src/core/period.ts';
import { partnerId } from '../src/core/tenant.ts';
import type { SystemDb, SystemTx, TenantDb, TenantTx } from '../src/db/db.ts';
import { sql } from '../src/db/sql.ts';
import { completeness, restatedAt } from '../src/rollups/read.ts';
import { type Rendered, requireReport } from './catalog.ts';

export interface RunRequest {
  readonly clientId: string;
  readonly report: string;
  /** Days of the client, both included. */
  readonly from: string;
  readonly to: string;
  /** How long to wait for the period to be complete; 0 issues what is known at once, marked incomplete. */
  readonly waitSeconds: number;
  /** Whether a copy goes to the client's company in the PSA. */
  readonly attach: boolean;
}

interface NewestRun {
  id: string;
  version: number;
  state: string;
  complete: boolean | null;
  complete_through: Date | null;
  issued_at: Date | null;
}

/**
 * Asks for a report. The run that is there answers when the same is asked for again; a new version is made when the issued one
 * was incomplete and more is known by now, or when late events have restated its period (rule 5). Throws `invalid_input`.
 */
export async function requestRun(tx: TenantTx, request: RunRequest): Promise<{ id: string }> {
  requireReport(request.report);
  const { clientId, report, from, to } = request;
  const client = await tx.one<{ time_zone: string }>(sql`
    select time_zone from clients where partner_id = ${tx.partnerId} and id = ${clientId} for update`);
  const newest = await tx.maybe<NewestRun>(sql`
    select id, version, state, complete, complete_through, issued_at from report_runs
    where partner_id = ${tx.partnerId} and client_id = ${clientId} and report = ${report} and period_from = ${from} and period_to = ${to}
    order by version desc limit 1`);
  const range = interval({ from, to, zone: client.time_zone });
  if (newest !== null && !(await isOutdated(tx, clientId, newest, range))) return { id: newest.id };
  const id = newId();
  const over = Math.max(range.end.getTime(), tx.now.getTime());
  const deadline = request.waitSeconds === 0 ? tx.now : new Date(over + request.waitSeconds * 1000);
  await tx.run(sql`
    insert into report_runs (partner_id, id, client_id, report, period_from, period_to, time_zone, version, state, document_state,
                             requested_at, due_at, deadline_at)
    values (${tx.partnerId}, ${id}, ${clientId}, ${report}, ${from}, ${to}, ${client.time_zone}, ${(newest?.version ?? 0) + 1},
            'waiting', ${request.attach ? 'wanted' : 'none'}, ${tx.now}, ${tx.now}, ${deadline})`);
  return { id };
}

async function isOutdated(
  tx: TenantTx,
  clientId: string,
  run: NewestRun,
  range: { start: Date; end: Date },
): Promise<boolean> {
  if (run.state !== 'issued' || run.issued_at === null) return false;
  const known = await completeness(tx, range.end);
  const through = Math.min(known.completeThrough?.getTime() ?? 0, range.end.getTime());
  if (run.complete === false && through > (run.complete_through?.getTime() ?? 0)) return true;
  const restated = await restatedAt(tx, clientId, range);
  return restated !== null && restated > run.issued_at;
}

/** A run that is to be issued. */
export interface DueRun {
  readonly partnerId: string;
  readonly id: string;
  readonly clientId: string;
  readonly report: string;
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
  readonly version: number;
  readonly deadlineAt: Date;
}

export interface SweepDeps {
  readonly db: TenantDb & SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  render(tx: TenantTx, run: DueRun): Promise<Rendered>;
  /** Keeps the bytes durably; answers under which id. */
  putContent(bytes: Buffer): Promise<{ readonly id: string }>;
}

const WAIT_MS = 60_000;
const LEASE_MS = 5 * 60_000;
const BATCH = 20;

/**
 * Issues the reports that are due. A period that is not complete makes its report wait until the deadline; then it is issued all
 * the same, marked incomplete, never with zeros for what is not known (rule 4). Answers with the number of runs worked on.
 */
export async function sweepRuns(deps: SweepDeps): Promise<number> {
  const runs = await deps.db.system((tx) => takeDue(tx));
  for (const run of runs) {
    try {
      await issue(deps, run);
    } catch (error) {
      deps.logger.error({ run: run.id, err: error }, 'a report could not be issued; it is tried again');
      await deps.db.system((tx) =>
        tx.run(sql`
          update report_runs set state = 'waiting', error = ${publicMessage(error)}, due_at = ${new Date(tx.now.getTime() + LEASE_MS)}
          where partner_id = ${run.partnerId} and id = ${run.id} and state = 'rendering'`),
      );
    }
  }
  return runs.length;
}

/** Leases due runs. A run whose renderer died is due again when the lease ends. */
function takeDue(tx: SystemTx): Promise<DueRun[]> {
  return tx.rows<DueRun>(sql`
    update report_runs r set state = 'rendering', due_at = ${new Date(tx.now.getTime() + LEASE_MS)}
    from (select d.partner_id, d.id from report_runs d where d.state in ('waiting', 'rendering') and d.due_at <= ${tx.now}
          order by d.due_at limit ${BATCH} for update skip locked) as d
    where r.partner_id = d.partner_id and r.id = d.id
    returning r.partner_id as "partnerId", r.id, r.client_id as "clientId", r.report, r.period_from as "from", r.period_to as "to",
              r.time_zone as "timeZone", r.version, r.deadline_at as "deadlineAt"`);
}

async function issue(deps: SweepDeps, run: DueRun): Promise<void> {
  const partner = partnerId(run.partnerId);
  const end = interval({ from: run.from, to: run.to, zone: run.timeZone }).end;
  const rendered = await deps.db.tenant(
    partner,
    async (tx) => {
      const { complete } = await completeness(tx, end);
      if (!complete && deps.clock.now() < run.deadlineAt) return null;
      return deps.render(tx, run);
    },
    { readOnly: true, repeatableRead: true },
  );
  if (rendered === null) {
    const next = new Date(Math.min(deps.clock.now().getTime() + WAIT_MS, run.deadlineAt.getTime()));
    await deps.db.system((tx) =>
      tx.run(sql`
        update report_runs set state = 'waiting', due_at = ${next}
        where partner_id = ${run.partnerId} and id = ${run.id} and state = 'rendering'`),
    );
    return;
  }
  const content = await deps.putContent(rendered.bytes);
  const sha256 = createHash('sha256').update(rendered.bytes).digest();
  await deps.db.system((tx) =>
    tx.run(sql`
      update report_runs set state = 'issued', error = null, complete = ${rendered.complete},
             complete_through = ${rendered.completeThrough}, content_id = ${content.id}, bytes = ${rendered.bytes.length},
             sha256 = ${sha256}, issued_at = ${tx.now}
      where partner_id = ${run.partnerId} and id = ${run.id} and state = 'rendering'`),
  );
}
