import { latestUsage, seatsOf } from '../billing/read.ts';
import type { TenantTx } from '../db/db.ts';

/** Billable mailboxes against the seats that the PSA bills. */
export interface LicenceUse {
  readonly product: string;
  /** Clients with mailboxes of the product or with a line in the PSA. */
  readonly clients: number;
  /** Billable mailboxes of the newest day known, not older than a week; null: not known of every client. */
  readonly mailboxes: number | null;
  /** The quantity that was last read from the PSA; null: not read of every client. */
  readonly seats: number | null;
  /** Mailboxes by seats; null: either is not known, or there are no seats. */
  readonly use: number | null;
}

/** By product, for a client or for all. `day`: the last day that counts. A sum with an unknown part is not known. */
export async function licenceUse(tx: TenantTx, clientId: string | null, day: string): Promise<LicenceUse[]> {
  const usage = await latestUsage(tx, clientId, day);
  const seats = await seatsOf(tx, clientId);
  const products = [...new Set([...usage, ...seats].map((row) => row.product))].sort();
  return products.map((product) => {
    const used = usage.filter((row) => row.product === product);
    const billed = seats.filter((row) => row.product === product);
    const clients = new Set([...used, ...billed].map((row) => row.clientId));
    const mailboxes = used.length < clients.size ? null : used.reduce((sum, row) => sum + row.quantity, 0);
    const isRead = billed.length === clients.size && billed.every((row) => row.seats !== null);
    const sum = isRead ? billed.reduce((all, row) => all + (row.seats ?? 0), 0) : null;
    const use = mailboxes === null || sum === null || sum === 0 ? null : mailboxes / sum;
    return { product, clients: clients.size, mailboxes, seats: sum, use };
  });
}
