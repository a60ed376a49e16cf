import { z } from 'zod';
import { AppError } from '../../src/core/errors.ts';
import type { QuantityChange, Subscription, SubscriptionRef } from '../../src/core/psa.ts';
import { checkChange, day, nextDay, numericId, price, requireNumericId } from '../settings.ts';
import type { AutotaskClient, Filter } from './client.ts';

/** `contractType` of a recurring service contract (developer help); only these hold services. */
const RECURRING = 7;
/** `status` of a contract in force; 0 is inactive. System values. */
const ACTIVE = 1;
/** Values in one `in`; Autotask takes 500 conditions. */
const CHUNK = 400;

const contractSchema = z.object({
  id: z.number(),
  companyID: z.number(),
  contractName: z.string().nullish(),
  contractType: z.number(),
  status: z.number(),
  startDate: z.string().nullish(),
  endDate: z.string().nullish(),
});
const lineSchema = z.object({
  id: z.number(),
  contractID: z.number(),
  serviceID: z.number(),
  unitPrice: z.number().nullish(),
});
const serviceSchema = z.object({ id: z.number(), name: z.string() });
const unitsSchema = z.object({
  id: z.number(),
  contractServiceID: z.number(),
  /** Required: a row without units is a failed read, never a zero. */
  units: z.number(),
  startDate: z.string(),
  endDate: z.string(),
  /** The extended price of the row, not of one unit (WYRE-AI/autotask-mcp PR#284). */
  price: z.number().nullish(),
  approveAndPostDate: z.string().nullish(),
});
type Contract = z.infer<typeof contractSchema>;
type Line = z.infer<typeof lineSchema>;

interface Units {
  readonly id: number;
  readonly units: number;
  readonly start: string;
  readonly end: string;
  readonly extended: number | null;
  readonly posted: boolean;
}

export async function listSubscriptions(
  client: AutotaskClient,
  companyId: string,
  today: string,
): Promise<Subscription[]> {
  const company = numericId(companyId);
  if (company === null) return [];
  const contracts = await client.query('Contracts', contractSchema, [
    { op: 'eq', field: 'companyID', value: company },
    { op: 'eq', field: 'contractType', value: RECURRING },
  ]);
  const byId = new Map(contracts.map((contract) => [contract.id, contract]));
  const lines = await among(client, 'ContractServices', lineSchema, 'contractID', [...byId.keys()]);
  return describe(client, byId, lines, today, today);
}

export async function readSubscription(
  client: AutotaskClient,
  ref: SubscriptionRef,
  onDate: string,
  today: string,
): Promise<Subscription | null> {
  const [contractId, lineId] = [numericId(ref.contractId), numericId(ref.lineId)];
  if (contractId === null || lineId === null) return null;
  const contract = await client.get(`/Contracts/${contractId}`, contractSchema);
  const line = contract === null ? null : await client.get(`/ContractServices/${lineId}`, lineSchema);
  if (contract === null || line === null || line.contractID !== contract.id) return null;
  const [subscription] = await describe(client, new Map([[contract.id, contract]]), [line], onDate, today);
  return subscription ?? null;
}

/**
 * A difference, sent once: adjustments have no key, cannot be read and cannot be taken back. The line's own id goes
 * along, because an adjustment without it creates another line (developer help). No difference, no request.
 */
export async function writeQuantity(
  client: AutotaskClient,
  ref: SubscriptionRef,
  change: QuantityChange,
): Promise<void> {
  checkChange(change);
  const contractID = requireNumericId(ref.contractId, 'contract');
  const contractServiceID = requireNumericId(ref.lineId, 'contract service');
  const unitChange = change.target - change.before;
  if (unitChange === 0) return;
  const json = {
    contractID,
    contractServiceID,
    effectiveDate: `${change.effectiveDate}T00:00:00`,
    unitChange,
    allowRepeatService: false,
  };
  await client.create(`/Contracts/${contractID}/ServiceAdjustments`, json, change.sendBy);
}

async function among<T>(
  client: AutotaskClient,
  entity: string,
  schema: z.ZodType<T>,
  field: string,
  values: readonly number[],
): Promise<T[]> {
  const rows: T[] = [];
  for (let from = 0; from < values.length; from += CHUNK) {
    const filter: Filter = { op: 'in', field, value: values.slice(from, from + CHUNK) };
    rows.push(...(await client.query(entity, schema, [filter])));
  }
  return rows;
}

async function describe(
  client: AutotaskClient,
  contracts: ReadonlyMap<number, Contract>,
  lines: readonly Line[],
  onDate: string,
  today: string,
): Promise<Subscription[]> {
  const services = await among(client, 'Services', serviceSchema, 'id', [...new Set(lines.map((l) => l.serviceID))]);
  const names = new Map(services.map((service) => [service.id, service.name]));
  const ids = lines.map((line) => line.id);
  const rows = await among(client, 'ContractServiceUnits', unitsSchema, 'contractServiceID', ids);
  return lines.map((line) => {
    const contract = contracts.get(line.contractID);
    if (contract === undefined) throw new AppError('unavailable', 'Autotask answered a line of another contract');
    const units = rows.filter((row) => row.contractServiceID === line.id).map(unitsOf);
    const row = inForce(units, onDate);
    const perUnit = row === null || row.extended === null || row.units === 0 ? null : row.extended / row.units;
    return {
      ref: { contractId: String(contract.id), lineId: String(line.id) },
      companyId: String(contract.companyID),
      name: names.get(line.serviceID) ?? contract.contractName ?? '',
      quantity: row?.units ?? 0,
      unitPrice: price(perUnit ?? line.unitPrice),
      currency: null,
      status: status(contract, units, row, onDate),
      earliestEffectiveDate: earliest(contract, units, today),
    };
  });
}

function unitsOf(row: z.infer<typeof unitsSchema>): Units {
  const [start, end] = [day(row.startDate), day(row.endDate)];
  if (start === null || end === null) throw new AppError('unavailable', 'Autotask answered units without their days');
  return { id: row.id, units: row.units, start, end, extended: row.price ?? null, posted: postedOf(row) };
}

const postedOf = (row: { approveAndPostDate?: string | null | undefined }) =>
  row.approveAndPostDate !== null && row.approveAndPostDate !== undefined && row.approveAndPostDate !== '';

/**
 * The row that holds on a day. An adjustment begins a new row, and the one before may end on that very day (developer
 * help, ContractServiceUnits): the later begin wins.
 */
function inForce(rows: readonly Units[], onDate: string): Units | null {
  const covering = rows.filter((row) => row.start <= onDate && onDate <= row.end);
  return covering.reduce<Units | null>((best, row) => (best === null || isLater(row, best) ? row : best), null);
}

const isLater = (a: Units, b: Units) => (a.start === b.start ? a.id > b.id : a.start > b.start);

/** A line without a row for the day is never `active`, so that its quantity of 0 is never taken for a count. */
function status(contract: Contract, rows: readonly Units[], row: Units | null, onDate: string): Subscription['status'] {
  if (contract.status !== ACTIVE) return 'cancelled';
  const [start, end] = [day(contract.startDate), day(contract.endDate)];
  if (end !== null && end < onDate) return 'expired';
  if (start !== null && start > onDate) return 'pending';
  if (row !== null) return 'active';
  return rows.length > 0 && rows.every((other) => other.end < onDate) ? 'expired' : 'pending';
}

/**
 * The first period that begins after today and after everything that was approved and posted: an edit inside a posted
 * period makes a proration that cannot be taken back (kb.datto.com 360035806752). Rows that an adjustment began do not
 * begin on the contract's day of the month and are no periods.
 */
function earliest(contract: Contract, rows: readonly Units[], today: string): string {
  const posted = rows.filter((row) => row.posted).map((row) => row.end);
  const after = latest([today, ...posted]);
  const anchor = day(contract.startDate);
  const begins = rows
    .map((row) => row.start)
    .filter((start) => start > after && (anchor === null || isPeriodBegin(start, anchor)))
    .sort();
  const last = latest([after, ...rows.map((row) => row.end)]);
  return begins[0] ?? nextDay(last);
}

const latest = (days: readonly string[]) => [...days].sort().at(-1) ?? '';

/** The anchor's day of the month, or the last day of a month that has no such day. */
function isPeriodBegin(start: string, anchor: string): boolean {
  const wanted = Number(anchor.slice(8));
  const found = Number(start.slice(8));
  return found === wanted || (found < wanted && nextDay(start).endsWith('-01'));
}
