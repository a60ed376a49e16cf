import type { FilterClass, Policy } from '../core/message.ts';
import { type Action, type Decision, type Reason, type Verdict, type Vote, worse } from '../core/verdict.ts';
import { symbolOf } from './votes.ts';

/** The part of the threshold that the content model can reach by itself: it never decides alone. */
export const CONTENT_SHARE = 0.75;

/** The part of the threshold that each outside scanner can reach by its points. */
export const SCANNER_SHARE = 0.5;

/** The part of the threshold that a client's own model can reach: with the content model together less than the whole. */
export const LEARNED_SHARE = 0.24;

/**
 * What matters of form (no Date, no Message-ID, a bare HELO, no name ...) say together, as shares of the threshold: scanners, alarms
 * and scripts send such mail every day, so by itself form counts up to FORM_SHARE, and beyond it only as far as everything
 * else speaks against the message by more than EVIDENCE_SHARE.
 */
export const FORM_SHARE = 0.35;
export const EVIDENCE_SHARE = 0.3;

/** From mild to severe. Two wishes for one delivery: the severer one holds. */
const SEVERITY: readonly Action[] = ['deliver', 'tag', 'strip', 'hold', 'quarantine', 'reject', 'discard'];

/**
 * The one decision for a delivery from all votes on it. Pure; the order of the votes does not matter. The score is the sum
 * of all stages, the content model's part limited. Every verdict that applies asks for its action and the severest holds,
 * so that a further vote never makes the outcome milder; the verdict shown is the worst. An effective allow entry (rule 11:
 * stages/lists.ts has seen an aligned pass) lifts spam and bulk and nothing else.
 */
export function decide(votes: readonly Vote[], policy: Policy): Decision {
  const reasons: Reason[] = votes.flatMap((vote) => vote.reasons);
  const codes: ReadonlySet<string> = new Set(reasons.map((reason) => reason.code));
  const total = sum(votes.map((vote) => contribution(vote, policy, isPhishy(codes))));
  const score = round(boundForm(total, formOf(codes), policy.spamScore));

  const verdicts = new Set<Verdict>();
  if (score >= policy.spamScore) verdicts.add(isPhishy(codes) ? 'phish' : 'spam');
  for (const vote of votes) {
    if (vote.verdict !== undefined && !isAllowedByPolicy(vote, policy)) verdicts.add(vote.verdict);
  }
  if (codes.has('list.allow') && !codes.has('list.block')) {
    verdicts.delete('spam');
    verdicts.delete('bulk');
    const left = worst(verdicts);
    if (left !== 'clean') reasons.push({ code: 'list.allow_overruled', detail: `the verdict stays ${left}` });
  }
  const action = [...verdicts].map((verdict) => actionOf(verdict, policy, codes)).reduce(severer, 'deliver');
  return { verdict: worst(verdicts), action, score, reasons: sortReasons(reasons) };
}

/** The points of form among the codes; each code counts once, as stages give it. */
function formOf(codes: ReadonlySet<string>): number {
  return sum([...codes].map((code) => (symbolOf(code)?.form === true ? (symbolOf(code)?.weight ?? 0) : 0)));
}

/** `total` with its part of `form` bounded by what else speaks against the message. Never falls when either grows. */
export function boundForm(total: number, form: number, spamScore: number): number {
  const other = total - form;
  const allowed = FORM_SHARE * spamScore + Math.max(0, other - EVIDENCE_SHARE * spamScore);
  return other + Math.min(form, allowed);
}

function worst(verdicts: ReadonlySet<Verdict>): Verdict {
  return [...verdicts].reduce(worse, 'clean');
}

function contribution(vote: Vote, policy: Policy, phishy: boolean): number {
  if (!Number.isFinite(vote.score)) return 0;
  switch (vote.stage) {
    case 'content':
      return Math.min(vote.score, CONTENT_SHARE * policy.spamScore);
    case 'scanners':
      return Math.min(vote.score, SCANNER_SHARE * policy.spamScore);
    // What people say of other mail, and who wrote before, takes no fraud below the threshold: accounts get stolen.
    case 'learning':
      return Math.max(phishy ? 0 : -Infinity, Math.min(vote.score, LEARNED_SHARE * policy.spamScore));
    case 'history':
      return Math.max(phishy ? 0 : -Infinity, vote.score);
    default:
      return vote.score;
  }
}

/** Sorted first: floating point sums depend on the order. */
function sum(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b).reduce((a, b) => a + b, 0);
}

/** Over the threshold: a credential or money fraud rather than advertising. */
function isPhishy(codes: ReadonlySet<string>): boolean {
  for (const code of codes) if (symbolOf(code)?.phishy === true) return true;
  return false;
}

function actionOf(verdict: Verdict, policy: Policy, codes: ReadonlySet<string>): Action {
  switch (verdict) {
    case 'clean':
      return 'deliver';
    case 'bulk':
      return policy.bulkAction;
    case 'spam':
      // A block list that only tags would be none.
      return codes.has('list.block') ? severer(policy.spamAction, 'quarantine') : policy.spamAction;
    case 'phish':
      return policy.phishAction;
    case 'spoof':
      return policy.spoofAction;
    case 'malware':
      return policy.malwareAction;
    case 'unscannable':
      // A rejection is for what the message is; a fault or an overload of ours must not bounce mail (rule 1).
      return OUR_FAULTS.some((code) => codes.has(code)) ? 'quarantine' : policy.unscannableAction;
    case 'policy':
      return attachmentAction(policy, codes);
  }
}

const OUR_FAULTS = ['scan.timeout', 'scan.crashed', 'scan.unavailable', 'scan.aborted'];

function attachmentAction(policy: Policy, codes: ReadonlySet<string>): Action {
  let action: Action = 'deliver';
  for (const [name, wish] of Object.entries(policy.attachments) as [
    FilterClass,
    Policy['attachments'][FilterClass],
  ][]) {
    if (wish !== 'allow' && codes.has(`attachment.${name}`)) action = severer(action, wish);
  }
  return action;
}

/** The attachments stage votes `policy` for every class; a client may have allowed all that it found. */
function isAllowedByPolicy(vote: Vote, policy: Policy): boolean {
  return (
    vote.verdict === 'policy' && attachmentAction(policy, new Set(vote.reasons.map((one) => one.code))) === 'deliver'
  );
}

function severer(a: Action, b: Action): Action {
  return SEVERITY.indexOf(a) >= SEVERITY.indexOf(b) ? a : b;
}

/** By weight, the heaviest first, then by code: the same whatever the order of the votes. */
function sortReasons(reasons: readonly Reason[]): Reason[] {
  const weight = (code: string) =>
    Math.abs(symbolOf(code)?.weight ?? 0) + (symbolOf(code)?.verdict === undefined ? 0 : 100);
  return reasons.toSorted(
    (a, b) => weight(b.code) - weight(a.code) || compare(a.code, b.code) || compare(a.detail, b.detail),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
