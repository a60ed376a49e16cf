import { z } from 'zod';
import type { Priority } from '../settings.ts';
import type { ConnectWiseClient } from './client.ts';

/** UTF-16 units; from the ConnectWise specification of 2022.1 (connectwise-rest, ManageTypes.ts). */
export const LENGTHS = { summary: 100, externalXRef: 100, companyName: 50 } as const;

const priorityRow = z.object({ id: z.number(), name: z.string() });

/** Every MSP names its priorities itself; only names that say the word are taken, the rest is left to the PSA's default. */
const WORDS: Readonly<Record<Priority, RegExp>> = {
  critical: /\b(critical|emergency)\b/i,
  high: /\bhigh\b/i,
  normal: /\b(medium|normal)\b/i,
  low: /\blow\b/i,
};

/** The id of a ConnectWise priority: the operator's choice, else the one whose name says so, else null. */
export async function priorityId(client: ConnectWiseClient, priority: Priority): Promise<number | null> {
  const chosen = client.settings.priorities?.[priority];
  if (chosen !== undefined) return chosen;
  const rows = (await client.all('/service/priorities', priorityRow)) ?? [];
  const named = rows.filter((row) => WORDS[priority].test(row.name));
  return named.length === 1 ? (named[0]?.id ?? null) : null;
}
