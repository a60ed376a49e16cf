import { getClients, partnerOfClient } from '../accounts/clients.ts';
import { getPartner, listPartners } from '../accounts/partners.ts';
import { type ApplyResult, applyPlan } from '../billing/apply.ts';
import { approvePlan, createPlan } from '../billing/plan.ts';
import { countLines, getPlans, type LineRow, listLines, listPlans, type PlanRow } from '../billing/read.ts';
import { linkSubscription } from '../billing/subscriptions.ts';
import { takeSnapshot } from '../billing/usage.ts';
import { AppError } from '../core/errors.ts';
import { localDate, parseDate } from '../core/period.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { NO_LINES, outcomeOf, outcomeWords, whyHeld } from './billing-words.ts';
import type { Command, CommandContext, Values } from './command.ts';
import { psaOf } from './psa.ts';
import { optional, required, requiredId } from './values.ts';

const ACTOR = 'cli';
const LIST_MAX = 1_000;

const billingLink: Command = {
  name: 'billing link',
  usage: '--client ID --contract ID --line ID [--product mailbox-protection]',
  summary: 'say which line of the PSA bills a client',
  options: {
    client: { type: 'string' },
    contract: { type: 'string' },
    line: { type: 'string' },
    product: { type: 'string' },
  },
  async run(context, values) {
    const { store, clock, logger } = context;
    const clientId = requiredId(values, 'client');
    const ref = { contractId: required(values, 'contract'), lineId: required(values, 'line') };
    const product = optional(values, 'product');
    const partner = partnerId(await store.db.system((tx) => partnerOfClient(tx, clientId)));
    const line = await linkSubscription({ db: store.db, psaFor: psaOf(context), clock, logger }, partner, {
      clientId,
      ref,
      actor: ACTOR,
      ...(product === null ? {} : { product }),
    });
    return { output: { name: line.name, quantity: line.quantity, status: line.status } };
  },
};

const billingSnapshot: Command = {
  name: 'billing snapshot',
  usage: '[--day YYYY-MM-DD]',
  summary: "take today's usage of every client, in its own zone",
  options: { day: { type: 'string' } },
  async run(context, values) {
    const { store } = context;
    const day = optional(values, 'day');
    const taken = await takeSnapshot(store.db, day === null ? undefined : parseDate(day, 'day').toString());
    return { output: { taken }, words: taken > 0 ? [] : [await whyNone(context, day)] };
  },
};

/** Why a snapshot took nothing: what a person would ask next. */
async function whyNone({ store, clock }: CommandContext, day: string | null): Promise<string> {
  const zones = await store.db.system(
    (tx) => tx.rows<{ zone: string }>(sql`select distinct time_zone as zone from clients where status = 'active'`),
    { readOnly: true },
  );
  if (zones.length === 0) return 'none was due: there is no active client';
  const days = [...new Set(zones.map(({ zone }) => localDate(clock.now(), zone)))].toSorted();
  if (day !== null && !days.includes(day))
    return `none was due: it is not ${day} where any client is (it is ${days.join(' or ')}), and a day that is over is never made up`;
  return `the usage of ${day ?? days.join(' and ')} was taken already; a day that was taken is never rewritten`;
}

/** A line of a plan with the name of its client, and the reason in words. */
interface NamedLine extends LineRow {
  readonly client: string;
  readonly why: string | null;
}

const billingPlan: Command = {
  name: 'billing plan',
  usage: '[--partner ID] [--day YYYY-MM-DD] [--large-changes]',
  summary: 'compute the difference between usage and the PSA, of one partner or of all; writes nothing there',
  notes:
    'What is held is not written; `why` says what to do. Each partner has one plan at a time: a new one takes the place of the last.',
  options: { partner: { type: 'string' }, day: { type: 'string' }, 'large-changes': { type: 'boolean' } },
  async run(context, values) {
    const { store, clock, logger } = context;
    const day = parseDate(optional(values, 'day') ?? localDate(clock.now(), 'UTC'), 'day').toString();
    const plans = [];
    for (const partner of await partnersMeant(context, values)) {
      const { id } = await createPlan({ db: store.db, psaFor: psaOf(context), clock, logger }, partner, day, {
        actor: ACTOR,
        // Whoever says so answers for quantities that change more than is usual.
        ...(values['large-changes'] === true ? { limits: null } : {}),
      });
      plans.push({ partnerId: partner, id, ...(await stateOf(context, partner, id)) });
    }
    return {
      output: { plans },
      forPeople: { plans: plans.map(forPeople) },
      words: plans.some((plan) => plan.counts.waiting > 0) ? ['Nothing was written. To write it: billing apply'] : [],
    };
  },
};

const billingApply: Command = {
  name: 'billing apply',
  usage: '[--partner ID [--plan ID]]',
  summary: 'approve the newest plan, of one partner or of all, apply it and read the quantities back',
  notes: [
    'The state in the answer is applied; applied_in_part or nothing_applied, when lines are held; failed; or applying, when the PSA has',
    'to be asked again: run the command again from `nextAt` on, or leave it to the service. The lines say why each is held or failed.',
    'The exit code is 0 unless a line failed or waits.',
  ].join('\n'),
  options: { partner: { type: 'string' }, plan: { type: 'string' } },
  async run(context, values) {
    const { store, clock, logger } = context;
    const wanted = optional(values, 'plan') === null ? null : requiredId(values, 'plan');
    if (wanted !== null) requiredId(values, 'partner');
    const plans = [];
    for (const partner of await partnersMeant(context, values)) {
      const id = wanted ?? (await newestPlan(context, partner));
      if (id === null) continue;
      const { state } = await store.db.tenant(partner, (tx) => requirePlan(tx, id), { readOnly: true });
      if (state === 'planned') await store.db.tenant(partner, (tx) => approvePlan(tx, id, ACTOR));
      const result = await applyPlan({ db: store.db, psaFor: psaOf(context), clock, logger }, partner, id);
      plans.push({ partnerId: partner, id, ...result, ...(await stateOf(context, partner, id, result)) });
    }
    return {
      output: { plans },
      forPeople: { plans: plans.map(forPeople) },
      words: plans.length === 0 ? ['there was nothing to apply: make a plan with billing plan'] : [],
      exitCode: plans.every(({ counts }) => counts.failed === 0 && counts.waiting === 0) ? 0 : 1,
    };
  },
};

const billingList: Command = {
  name: 'billing list',
  usage: '--partner ID',
  summary: 'the billing plans of a partner, newest first, and how many of their lines are how far',
  options: { partner: { type: 'string' } },
  async run({ store }, values) {
    const partner = partnerId(requiredId(values, 'partner'));
    const plans = await store.db.tenant(
      partner,
      async (tx) => {
        const rows = await listPlans(tx, { first: LIST_MAX, after: null });
        const counts = await countLines(
          tx,
          rows.map((one) => one.id),
        );
        return rows.map((row) => {
          const ofPlan = counts.get(row.id) ?? NO_LINES;
          return { ...row, state: outcomeOf(row.state, ofPlan), counts: ofPlan };
        });
      },
      { readOnly: true },
    );
    return {
      output: { plans },
      forPeople: {
        plans: plans.map(({ id, usageDay, createdAt, state, counts }) => ({
          ...{ id, usageDay, createdAt, state, lines: outcomeWords(counts) },
        })),
      },
    };
  },
};

const billingShow: Command = {
  name: 'billing show',
  usage: '--partner ID [--plan ID]',
  summary: 'a billing plan with its lines: as it is in the PSA, as it should be, as it was read back, and why not',
  options: { partner: { type: 'string' }, plan: { type: 'string' } },
  async run(context, values) {
    const partner = partnerId(requiredId(values, 'partner'));
    const id = optional(values, 'plan') === null ? await newestPlan(context, partner) : requiredId(values, 'plan');
    if (id === null) throw new AppError('not_found', 'the partner has no plan: make one with billing plan');
    const plan = await context.store.db.tenant(partner, (tx) => requirePlan(tx, id), { readOnly: true });
    const shown = { ...plan, ...(await stateOf(context, partner, id)) };
    const { usageDay, createdAt, approvedAt, approvedBy, finishedAt } = plan;
    return {
      output: shown,
      forPeople: {
        ...forPeople(shown),
        usageDay,
        createdAt,
        approvedAt,
        approvedBy,
        finishedAt,
      },
    };
  },
};

/** How far a plan is: in one word, in numbers, and line by line (of a partner with more clients than that, the first thousand). */
async function stateOf({ store }: CommandContext, partner: PartnerId, id: string, result?: ApplyResult) {
  return store.db.tenant(
    partner,
    async (tx) => {
      const { state } = await requirePlan(tx, id);
      const counts = (await countLines(tx, [id])).get(id) ?? NO_LINES;
      const { name } = await getPartner(tx);
      return {
        partner: name,
        state: outcomeOf(result?.state ?? state, counts),
        counts,
        lines: await namedLines(tx, id),
      };
    },
    { readOnly: true },
  );
}

async function namedLines(tx: TenantTx, planId: string): Promise<NamedLine[]> {
  const lines = await listLines(tx, planId, { first: LIST_MAX, after: null });
  const clients = await getClients(tx, [...new Set(lines.map((line) => line.clientId))]);
  const names = new Map(clients.map(({ id, name }) => [id, name]));
  return lines.map((line) => ({
    client: names.get(line.clientId) ?? '',
    ...line,
    why: line.reason === null ? null : whyHeld(line.reason),
  }));
}

/** The ids of contracts and lines, and prices, are in the JSON. */
function forPeople(plan: {
  readonly partner: string;
  readonly id: string;
  readonly state: string;
  readonly counts: Parameters<typeof outcomeWords>[0];
  readonly lines: readonly NamedLine[];
}) {
  const lines = plan.lines.map(({ client, before, target, after, effectiveDate, state, why }) => ({
    ...{ client, inPsa: before, usage: target, readBack: after, from: effectiveDate, state, why },
  }));
  return { id: plan.id, partner: plan.partner, state: plan.state, counts: outcomeWords(plan.counts), lines };
}

async function partnersMeant({ store }: CommandContext, values: Values): Promise<PartnerId[]> {
  if (optional(values, 'partner') !== null) return [partnerId(requiredId(values, 'partner'))];
  return (await store.db.system(listPartners, { readOnly: true })).map((partner) => partnerId(partner.id));
}

/** Null: the partner has no plan. */
async function newestPlan({ store }: CommandContext, partner: PartnerId): Promise<string | null> {
  const [plan] = await store.db.tenant(partner, (tx) => listPlans(tx, { first: 1, after: null }), { readOnly: true });
  return plan?.id ?? null;
}

async function requirePlan(tx: TenantTx, planId: string): Promise<PlanRow> {
  const [plan] = await getPlans(tx, [planId]);
  if (plan === undefined) throw new AppError('not_found', `the partner has no plan ${planId}`, { field: 'plan' });
  return plan;
}

export const billingCommands: readonly Command[] = [
  billingLink,
  billingSnapshot,
  billingPlan,
  billingApply,
  billingList,
  billingShow,
];
