import type { Row } from './filter.ts';

export interface AtUnits extends Row {
  contractID: number;
  contractServiceID: number;
  serviceID: number;
  units: number;
  startDate: string;
  endDate: string;
  /** Extended: units times the unit's price. */
  price: number;
  cost: number;
  approveAndPostDate: string | null;
}

const DAY_MS = 86_400_000;

export const dayOf = (text: string) => text.slice(0, 10);
const at = (day: string) => `${day}T00:00:00`;

export function addDays(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

/** `months` after the anchor, on its day of the month or the last there is. */
function addMonths(anchor: string, months: number): string {
  const [year = 0, month = 1, date = 1] = anchor.split('-').map(Number);
  const last = new Date(Date.UTC(year, month - 1 + months + 1, 0)).getUTCDate();
  return new Date(Date.UTC(year, month - 1 + months, Math.min(date, last))).toISOString().slice(0, 10);
}

/** The monthly rows of a new contract service, from the contract's first day to its last. */
export function monthlyRows(
  line: { id: number; contractID: number; serviceID: number },
  contract: { start: string; end: string },
  units: number,
  unitPrice: number,
  nextId: () => number,
): AtUnits[] {
  const rows: AtUnits[] = [];
  for (let month = 0; ; month += 1) {
    const start = addMonths(contract.start, month);
    if (start > contract.end) return rows;
    const periodEnd = addDays(addMonths(contract.start, month + 1), -1);
    rows.push({
      id: nextId(),
      contractID: line.contractID,
      contractServiceID: line.id,
      serviceID: line.serviceID,
      units,
      startDate: at(start),
      endDate: at([periodEnd, contract.end].sort()[0] ?? periodEnd),
      price: units * unitPrice,
      cost: 0,
      approveAndPostDate: null,
    });
  }
}

/**
 * Adds `change` from a day on: the row that holds on that day ends there and a new one begins, up to the end of the
 * period; all later periods change whole (developer help, ContractServiceUnits). False: no row holds on that day.
 */
export function adjustUnits(
  rows: AtUnits[],
  effective: string,
  change: number,
  unitPrice: number,
  nextId: () => number,
): boolean {
  const holding = rows
    .filter((row) => dayOf(row.startDate) <= effective && effective <= dayOf(row.endDate))
    .sort((a, b) => (dayOf(a.startDate) < dayOf(b.startDate) ? -1 : 1))
    .at(-1);
  if (holding === undefined) return false;
  const later = rows.filter((row) => dayOf(row.startDate) > effective);
  if ([holding, ...later].some((row) => row.units + change < 0)) return false;
  if (dayOf(holding.startDate) < effective) {
    const units = holding.units + change;
    rows.push({
      ...holding,
      id: nextId(),
      units,
      startDate: at(effective),
      price: units * unitPrice,
      approveAndPostDate: null,
    });
    holding.endDate = at(effective);
  } else {
    later.push(holding);
  }
  for (const row of later) {
    row.units += change;
    row.price = row.units * unitPrice;
  }
  return true;
}
