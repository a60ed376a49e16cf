import { LEARNED, type Learned, NOTHING_LEARNED, type Weights } from '../pipeline/learned.ts';

/** What one person, or one mailbox, said of one message. */
export interface Example {
  readonly id: string;
  readonly kind: 'spam' | 'ham';
  /** Who is counted: the mailbox that it came to, or a member of staff by name. */
  readonly voice: string;
  /** A technician or an administrator: heard for all mailboxes without a second voice. */
  readonly isStaff: boolean;
  /** Whose own mail it concerns; null for staff. */
  readonly mailboxId: string | null;
  readonly at: Date;
  readonly features: Uint32Array;
  /** The content model's log-odds. */
  readonly margin: number;
}

export const TRAINING = Object.freeze({
  /** Of a voice and a day (UTC) the first ones count. */
  perVoiceAndDay: 5,
  /** Of a voice the latest, of a client the latest. */
  perVoice: 100,
  perClient: 1_000,
  /** Days after which what was said counts half, and after which not at all. */
  halfLifeDays: 60,
  keptDays: 180,
  /** What all that one voice said weighs at most, in messages said today. */
  userWeight: 4,
  staffWeight: 8,
  /** The content model is taken to be no surer than this, so that what people say always teaches something. */
  offsetMax: 0.5,
  ridge: 0.4,
  rounds: 60,
});

const DAY_MS = 86_400_000;
type Kind = Example['kind'];
type Weighted = Example & { readonly weight: number };

/**
 * The model that the examples make as of a day: logistic regression with a ridge on top of the content model's log-odds, by
 * plain gradient steps in a fixed order, so that the same rows make the same bytes. Nobody trains the filter for others:
 *
 * - of a voice five messages a day count, and all it said weighs at most `userWeight`, halving with age;
 * - for other mailboxes, in each direction, a voice weighs no more than all others together (staff: what it weighs);
 * - a feature counts for others only in a direction in which two voices, or staff, have used it.
 */
export function train(examples: readonly Example[], asOf: Date): Learned {
  const counted = countedOf(examples, asOf);
  if (counted.length === 0) return NOTHING_LEARNED;
  const shared = capped(counted, asOf, limitsAmongOthers(counted, asOf));
  const support = supportOf(shared);
  const weights = fit(shared);
  for (const [feature, value] of weights) {
    if (!isSupported(support.get(feature), value > 0 ? 'spam' : 'ham')) weights.delete(feature);
  }
  const own = new Map<string, Weights>();
  for (const [mailboxId, said] of latestMailboxes(counted)) {
    own.set(mailboxId, strongest(fit(capped(said, asOf, limitAlone)), LEARNED.ownFeatures));
  }
  return { shared: strongest(weights, LEARNED.sharedFeatures), own };
}

/** Those that count: of each voice the first of each day, then the latest. In the order of time. */
export function countedOf<E extends Pick<Example, 'id' | 'voice' | 'at'>>(examples: readonly E[], asOf: Date): E[] {
  const oldest = asOf.getTime() - TRAINING.keptDays * DAY_MS;
  const inTime = examples.filter((one) => one.at.getTime() >= oldest && one.at.getTime() < asOf.getTime() + DAY_MS);
  const perDay = new Map<string, number>();
  const first = inTime.toSorted(byTime).filter((one) => {
    const key = `${Math.floor(one.at.getTime() / DAY_MS)} ${one.voice}`;
    const count = perDay.get(key) ?? 0;
    perDay.set(key, count + 1);
    return count < TRAINING.perVoiceAndDay;
  });
  const perVoice = new Map<string, number>();
  const latest = first.toReversed().filter((one) => {
    const count = perVoice.get(one.voice) ?? 0;
    perVoice.set(one.voice, count + 1);
    return count < TRAINING.perVoice;
  });
  return latest.slice(0, TRAINING.perClient).toReversed();
}

function byTime(a: { at: Date; id: string }, b: { at: Date; id: string }): number {
  return a.at.getTime() - b.at.getTime() || (a.id < b.id ? -1 : 1);
}

const keyOf = (one: Example) => `${one.kind} ${one.voice}`;

/** What each voice says in each direction, before any bound: one for each message, halved by age. */
function sumsOf(examples: readonly Example[], asOf: Date): Map<string, number> {
  const sums = new Map<string, number>();
  for (const one of examples) sums.set(keyOf(one), (sums.get(keyOf(one)) ?? 0) + aged(one, asOf));
  return sums;
}

/** In whole days, so that trainings of one day make the same. */
function aged(one: Example, asOf: Date): number {
  const days = Math.floor(asOf.getTime() / DAY_MS) - Math.floor(one.at.getTime() / DAY_MS);
  return 0.5 ** (days / TRAINING.halfLifeDays);
}

type Limits = (one: Example, sum: number) => number;

const limitAlone: Limits = (one, sum) => Math.min(sum, one.isStaff ? TRAINING.staffWeight : TRAINING.userWeight);

/** In each direction a user weighs no more than all other voices together. */
function limitsAmongOthers(examples: readonly Example[], asOf: Date): Limits {
  const sums = sumsOf(examples, asOf);
  const total: Record<Kind, number> = { spam: 0, ham: 0 };
  for (const [key, one] of new Map(examples.map((example) => [keyOf(example), example]))) {
    total[one.kind] += limitAlone(one, sums.get(key) ?? 0);
  }
  return (one, sum) => {
    const mine = limitAlone(one, sum);
    return one.isStaff ? mine : Math.min(mine, Math.max(0, total[one.kind] - mine));
  };
}

function newest(examples: readonly Example[]): number {
  return examples.reduce((latest, one) => Math.max(latest, one.at.getTime()), 0);
}

/** The examples with their weights, such that no voice exceeds its limit in a direction. */
function capped(examples: readonly Example[], asOf: Date, limits: Limits): Weighted[] {
  const sums = sumsOf(examples, asOf);
  return examples
    .map((one) => {
      const sum = sums.get(keyOf(one)) ?? 0;
      return { ...one, weight: sum === 0 ? 0 : (aged(one, asOf) * limits(one, sum)) / sum };
    })
    .filter((one) => one.weight > 0);
}

interface Support {
  readonly spam: Set<string>;
  readonly ham: Set<string>;
  readonly staff: Set<Kind>;
}

/** Who has used each feature, in which direction. */
function supportOf(examples: readonly Example[]): Map<number, Support> {
  const all = new Map<number, Support>();
  for (const one of examples) {
    for (const feature of one.features) {
      const support = all.get(feature) ?? { spam: new Set(), ham: new Set(), staff: new Set() };
      all.set(feature, support);
      support[one.kind].add(one.voice);
      if (one.isStaff) support.staff.add(one.kind);
    }
  }
  return all;
}

function isSupported(support: Support | undefined, kind: Kind): boolean {
  return support !== undefined && (support[kind].size >= 2 || support.staff.has(kind));
}

/** The mailboxes that spoke last, as many as a model holds, with what they said. */
function latestMailboxes(examples: readonly Example[]): [string, Example[]][] {
  const byMailbox = new Map<string, Example[]>();
  for (const one of examples) {
    if (one.mailboxId === null) continue;
    byMailbox.set(one.mailboxId, [...(byMailbox.get(one.mailboxId) ?? []), one]);
  }
  return [...byMailbox]
    .toSorted(([a, said], [b, other]) => newest(other) - newest(said) || (a < b ? -1 : 1))
    .slice(0, LEARNED.mailboxes);
}

/** Weights by feature that make the examples likelier, kept small by the ridge. */
function fit(examples: readonly Weighted[]): Map<number, number> {
  const index = new Map<number, number>();
  for (const { features } of examples) for (const one of features) if (!index.has(one)) index.set(one, index.size);
  const rows = examples.map(({ features, kind, weight, margin }) => ({
    at: Uint32Array.from(features, (one) => index.get(one) ?? 0),
    scale: 1 / Math.sqrt(Math.max(1, features.length)),
    target: kind === 'spam' ? 1 : 0,
    weight,
    offset: Math.max(-TRAINING.offsetMax, Math.min(TRAINING.offsetMax, margin)),
  }));
  const weights = new Float64Array(index.size);
  const total = rows.reduce((sum, row) => sum + row.weight, 0);
  // The steepest that the loss can be, since every row has length 1.
  const rate = 1 / (0.25 * total + TRAINING.ridge);
  for (let round = 0; round < TRAINING.rounds; round += 1) {
    const step = weights.map((value) => -TRAINING.ridge * value);
    for (const { at, scale, target, weight, offset } of rows) {
      let odds = 0;
      for (const one of at) odds += weights[one] ?? 0;
      const error = weight * scale * (target - 1 / (1 + Math.exp(-(offset + odds * scale))));
      for (const one of at) step[one] = (step[one] ?? 0) + error;
    }
    for (let at = 0; at < weights.length; at += 1) weights[at] = (weights[at] ?? 0) + rate * (step[at] ?? 0);
  }
  return new Map([...index].map(([feature, at]) => [feature, weights[at] ?? 0]));
}

/** The `max` largest, either way, sorted by feature. */
function strongest(weights: ReadonlyMap<number, number>, max: number): Weights {
  const kept = [...weights]
    .filter(([, value]) => value !== 0)
    .toSorted(([a, x], [b, y]) => Math.abs(y) - Math.abs(x) || a - b)
    .slice(0, max)
    .toSorted(([a], [b]) => a - b);
  return { ids: Uint32Array.from(kept, ([id]) => id), values: Float32Array.from(kept, ([, value]) => value) };
}
