import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'statistics.drift';
const SHOWN = 5;

/** A number of the rollups that a recount does not confirm. */
export interface Drift {
  readonly partnerId: string;
  readonly clientId: string;
  /** Which of the rollups. */
  readonly table: string;
  readonly bucket: Date;
  readonly measure: string;
  readonly ledger: number;
  readonly rollup: number;
}

/** What a recount has found. */
export interface DriftReport {
  readonly drift: readonly Drift[];
  /** The clients all of whose numbers were looked at; null: all clients. Incidents of those without drift end. */
  readonly whole: readonly string[] | null;
  /** False: there may be more drift than is told, so nothing ends. */
  readonly exhaustive: boolean;
}

/**
 * Opens an incident `statistics.drift` per client and table whose numbers are not what the ledger says, and ends it when a recount
 * of the whole client finds none. It opens no ticket: it is the operator's to mend (`tollgate rebuild`). Answers with the number
 * of incidents that were opened or ended.
 */
export async function watchDrift(db: SystemDb, report: DriftReport): Promise<number> {
  return db.system(async (tx) => {
    let changes = 0;
    const names = await namesOf(tx, report.drift);
    const found = new Map<string, Drift[]>();
    for (const one of report.drift) found.set(keyOf(one), [...(found.get(keyOf(one)) ?? []), one]);
    for (const rows of found.values()) {
      const [first] = rows;
      const name = first === undefined ? undefined : names.get(first.clientId);
      if (first === undefined || name === undefined) continue;
      const { opened } = await openIncident(tx, {
        partnerId: first.partnerId,
        clientId: first.clientId,
        rule: RULE,
        subject: first.table,
        severity: 'high',
        title: `Statistics of ${name} are not what the ledger says: ${first.table}`,
        description: describe(rows),
        ticket: false,
      });
      if (opened) changes += 1;
    }
    if (!report.exhaustive) return changes;
    for (const open of await openDrift(tx)) {
      const isSeen = report.whole === null || report.whole.includes(open.clientId);
      if (!isSeen || found.has(keyOf({ clientId: open.clientId, table: open.subject }))) continue;
      const resolution = 'A recount of the ledger finds no difference any more.';
      if (await resolveIncident(tx, { ...open, rule: RULE, resolution })) changes += 1;
    }
    return changes;
  });
}

/** The clients with an open incident of drift: what a regular look should count anew. */
export async function clientsWithDrift(db: SystemDb): Promise<string[]> {
  const open = await db.system(openDrift, { readOnly: true });
  return [...new Set(open.map((one) => one.clientId))];
}

const keyOf = (one: Pick<Drift, 'clientId' | 'table'>) => `${one.clientId} ${one.table}`;

function describe(rows: readonly Drift[]): string {
  return [
    'A recount of the ledger gives other numbers than those that are shown:',
    ...rows
      .slice(0, SHOWN)
      .map(
        (row) =>
          `${row.table} ${row.bucket.toISOString()} ${row.measure}: ${row.rollup} is shown, ${row.ledger} is right`,
      ),
    ...(rows.length > SHOWN ? [`and ${rows.length - SHOWN} more`] : []),
    '"tollgate verify" shows all of them, "tollgate rebuild" mends them and tells the restated periods.',
  ].join('\n');
}

async function namesOf(tx: SystemTx, drift: readonly Drift[]): Promise<Map<string, string>> {
  const ids = [...new Set(drift.map((one) => one.clientId))];
  if (ids.length === 0) return new Map();
  const rows = await tx.rows<{ id: string; name: string }>(sql`
    select c.id, c.name from clients c where c.id = any(${ids}::uuid[])`);
  return new Map(rows.map((row) => [row.id, row.name]));
}

function openDrift(tx: SystemTx): Promise<{ partnerId: string; clientId: string; subject: string }[]> {
  return tx.rows(sql`
    select i.partner_id as "partnerId", i.client_id as "clientId", i.subject from incidents i
    where i.rule = ${RULE} and i.state = 'open'`);
}
