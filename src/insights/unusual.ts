import { getMailboxes } from '../accounts/mailboxes.ts';
import type { TenantTx } from '../db/db.ts';
import { type JudgedDay, judgeDays } from './anomalies.ts';
import { type History, type Metric, readCauses, type Scope, seriesOf } from './history.ts';
import { anomalyTitle, causeLines } from './words.ts';

/** What of a period was unusual, in words. */
export interface Unusual {
  /** Days of the period that could be judged. */
  readonly judged: number;
  readonly days: number;
  /** Unusual days in all; `told` are the most unusual of them, by date. */
  readonly found: number;
  readonly told: readonly { readonly date: string; readonly title: string; readonly causes: readonly string[] }[];
}

/** Reads the causes of at most `most` unusual days and says them. A day is told once: by its unwanted mail, if that is much. */
export async function readUnusual(tx: TenantTx, scope: Scope, history: History, most: number): Promise<Unusual> {
  const days = judgeDays(seriesOf(history, 'deliveries'), history.first);
  const unwanted = judgeDays(seriesOf(history, 'unwanted'), history.first);
  const found = days.flatMap((day, index): { metric: Metric; judged: JudgedDay }[] => {
    const other = unwanted[index];
    if (other?.judgement === 'high') return [{ metric: 'unwanted', judged: other }];
    return day.judgement === 'high' || day.judgement === 'low' ? [{ metric: 'deliveries', judged: day }] : [];
  });
  const worst = [...found]
    .sort((a, b) => Math.abs(b.judged.score ?? 0) - Math.abs(a.judged.score ?? 0))
    .slice(0, most)
    .sort((a, b) => (a.judged.date < b.judged.date ? -1 : 1));
  const told = [];
  for (const { metric, judged } of worst) {
    const causes = await readCauses(tx, scope, judged, metric);
    const ids = causes.flatMap((cause) => (cause.kind === 'mailbox' ? [cause.key] : []));
    const mailboxes = ids.length === 0 ? [] : await getMailboxes(tx, ids);
    const nameOf = (id: string) => mailboxes.find((one) => one.id === id)?.address ?? 'a mailbox that is gone';
    told.push({ date: judged.date, title: anomalyTitle(metric, judged), causes: causeLines(causes, nameOf) });
  }
  return { judged: days.filter((day) => day.score !== null).length, days: days.length, found: found.length, told };
}
