/** The parts of the score and how many points each can give. */
export const HEALTH_PARTS = {
  delivery: 25,
  availability: 25,
  threats: 20,
  steadiness: 15,
  incidents: 15,
} as const;
export type HealthPart = keyof typeof HEALTH_PARTS;

/** Null: not known, and left out of the score. */
export interface HealthFacts {
  /** Part of the ended inbound deliveries to the client's servers that bounced or expired, 0 to 1. */
  readonly failedShare: number | null;
  /** Part of the known time in which the client's servers took mail, 0 to 1. */
  readonly availability: number | null;
  /** Phishing and malware deliveries for each mailbox in 30 days. */
  readonly threatsPerMailbox: number | null;
  /** Days outside the usual band, and days that could be judged. */
  readonly unusualDays: { readonly unusual: number; readonly judged: number } | null;
  /** Open incidents of the severity high and critical. */
  readonly openIncidents: { readonly high: number; readonly critical: number } | null;
}

export interface HealthComponent {
  readonly part: HealthPart;
  /** Null: not known. */
  readonly points: number | null;
  readonly max: number;
}

export interface Health {
  /** 0 to 100; null when the known parts can give less than KNOWN_MIN points. */
  readonly score: number | null;
  readonly components: readonly HealthComponent[];
}

/** A score of less would be one of the few parts that are known, such as no incident for a client that has no mail yet. */
const KNOWN_MIN = 50;

const within = (value: number) => Math.min(1, Math.max(0, value));

/** Each part's share of its points, 0 to 1. */
const FORMULAS: Readonly<Record<HealthPart, (facts: HealthFacts) => number | null>> = {
  // 5 % of failures leave nothing.
  delivery: ({ failedShare }) => (failedShare === null ? null : within(1 - failedShare / 0.05)),
  // 95 % availability leaves nothing: that is an hour and more a day.
  availability: ({ availability }) => (availability === null ? null : within((availability - 0.95) / 0.05)),
  // 10 attacks on each mailbox in 30 days leave nothing.
  threats: ({ threatsPerMailbox }) => (threatsPerMailbox === null ? null : within(1 - threatsPerMailbox / 10)),
  // One unusual day in five leaves nothing.
  steadiness: ({ unusualDays }) =>
    unusualDays === null || unusualDays.judged === 0
      ? null
      : within(1 - unusualDays.unusual / unusualDays.judged / 0.2),
  // A critical incident leaves nothing, a high one takes a third.
  incidents: ({ openIncidents }) =>
    openIncidents === null ? null : within(1 - openIncidents.critical - openIncidents.high / 3),
};

/** The score: points of the known parts, as a part of what those could give, times 100; of too few parts none. */
export function healthOf(facts: HealthFacts): Health {
  const components = (Object.keys(HEALTH_PARTS) as HealthPart[]).map((part): HealthComponent => {
    const share = FORMULAS[part](facts);
    return { part, points: share === null ? null : share * HEALTH_PARTS[part], max: HEALTH_PARTS[part] };
  });
  const known = components.filter((one) => one.points !== null);
  const max = known.reduce((sum, one) => sum + one.max, 0);
  const points = known.reduce((sum, one) => sum + (one.points ?? 0), 0);
  return { score: max < KNOWN_MIN ? null : Math.round((100 * points) / max), components };
}
