import type { Cause, JudgedDay } from './anomalies.ts';
import type { Metric } from './history.ts';

const NOUNS: Readonly<Record<Metric, string>> = { deliveries: 'mail', unwanted: 'unwanted mail' };
const VERDICT_WORDS: Readonly<Record<string, string>> = {
  clean: 'ordinary mail',
  bulk: 'newsletters',
  spam: 'spam',
  spoof: 'mail with a forged sender',
  phish: 'phishing',
  policy: 'blocked content',
  unscannable: 'unreadable mail',
  malware: 'malware',
};

const count = (value: number) => Math.round(value).toLocaleString('en');

/** `much more unwanted mail than usual: 412 on 2026-10-13, where 100 is usual`. */
export function anomalyTitle(metric: Metric, judged: JudgedDay): string {
  const amount = judged.judgement === 'low' ? 'much less' : 'much more';
  return `${amount} ${NOUNS[metric]} than usual: ${count(judged.actual ?? 0)} on ${judged.date}, where ${count(judged.band?.expected ?? 0)} is usual`;
}

/** What made it so, one line for each cause; `nameOf` gives a mailbox its address. */
export function causeLines(causes: readonly Cause[], nameOf: (mailboxId: string) => string): string[] {
  return causes.map((cause) => {
    const numbers = `${count(cause.actual)}, before ${cause.expected < 10 ? cause.expected.toFixed(1) : count(cause.expected)} a day`;
    return `${subjectOf(cause, nameOf)}: ${numbers} (${Math.round(100 * cause.share)} % of the difference)`;
  });
}

function subjectOf({ kind, key }: Cause, nameOf: (mailboxId: string) => string): string {
  if (kind === 'verdict') return `Kind of mail: ${VERDICT_WORDS[key] ?? key}`;
  if (kind === 'sender') return `Sender: ${key === '' ? 'the null sender (bounces and notices)' : key}`;
  if (kind === 'mailbox') return `Mailbox: ${nameOf(key)}`;
  return `Reason: ${key}`;
}
