import { mappingOf } from '../accounts/connections.ts';
import type { App } from '../app.ts';
import { localDate } from '../core/period.ts';
import type { Api } from './api.ts';
import type { Checks } from './checks.ts';
import type { Say } from './say.ts';
import type { DemoWorld } from './setup.ts';
import { renderTable } from './table.ts';
import { waitFor } from './wait.ts';

interface PlanAnswer {
  readonly id: string;
  readonly state: string;
  readonly lines: { readonly edges: { readonly node: LineAnswer }[] };
}

interface LineAnswer {
  readonly client: { readonly name: string };
  readonly before: number | null;
  readonly target: number | null;
  readonly after: number | null;
  readonly effectiveDate: string | null;
  readonly state: string;
  readonly reason: string | null;
}

const PLAN =
  'id state lines(first: 50) { edges { node { client { name } before target after effectiveDate state reason } } }';

/** Snapshots usage, plans, approves, applies, reads back from the PSA, and plans again to show that nothing is left to change. */
export async function billUsage(app: App, world: DemoWorld, api: Api, checks: Checks, say: Say): Promise<void> {
  say.title('6  Usage becomes billed quantities: planned, approved, applied, read back');
  await app.runNow('usage.snapshot');
  // The demo's clients are in zones that may be on different days; each is billed for its own.
  const day = localDate(new Date(), 'UTC');
  const first = await plan(api, day);
  await api.ask(
    'mutation ($input: ApproveBillingPlanInput!) { approveBillingPlan(input: $input) { userErrors { message } } }',
    { input: { id: first.id } },
  );
  await api.ask(
    'mutation ($input: ApplyBillingPlanInput!) { applyBillingPlan(input: $input) { userErrors { message } } }',
    { input: { id: first.id } },
  );
  const applied = await waitFor('the plan to be applied', 60_000, async () => {
    const answer = await api.ask<{ node: PlanAnswer }>(
      `query ($id: ID!) { node(id: $id) { ... on BillingPlan { ${PLAN} } } }`,
      { id: first.id },
    );
    return ['APPLIED', 'FAILED'].includes(answer.node.state) ? answer.node : null;
  });
  const lines = applied.lines.edges.map((edge) => edge.node);
  say.line(
    renderTable(
      ['client', 'before', 'usage', 'after', 'from', 'state'],
      lines.map((line) => [
        line.client.name,
        line.before,
        line.target,
        line.after,
        line.effectiveDate,
        line.reason ?? line.state.toLowerCase(),
      ]),
    ),
  );
  for (const client of world.clients) {
    const line = lines.find((one) => one.client.name === client.name);
    checks.equal(`${client.name}: planned quantity = its user mailboxes`, client.mailboxes.length, line?.target);
    checks.equal(
      `${client.name}: quantity in ${client.psa}`,
      client.mailboxes.length,
      await inPsa(app, world, client, line?.effectiveDate ?? day),
    );
  }
  const second = await plan(api, day);
  const states = second.lines.edges.map((edge) => edge.node.state);
  checks.equal('planned again: lines that would change', 0, states.filter((state) => state !== 'UNCHANGED').length);
  say.line('  planned again: nothing is left to change');
}

async function plan(api: Api, usageDay: string): Promise<PlanAnswer> {
  const answer = await api.ask<{ createBillingPlan: { plan: PlanAnswer | null; userErrors: { message: string }[] } }>(
    `mutation ($input: CreateBillingPlanInput!) { createBillingPlan(input: $input) { plan { ${PLAN} } userErrors { message } } }`,
    { input: { usageDay } },
  );
  const { plan: made, userErrors } = answer.createBillingPlan;
  if (made === null) throw new Error(`no plan was made: ${userErrors.map((error) => error.message).join('; ')}`);
  return made;
}

/** What the PSA itself says, asked through the connector. */
async function inPsa(
  app: App,
  world: DemoWorld,
  client: DemoWorld['clients'][number],
  onDate: string,
): Promise<number | null> {
  const mapping = await app.store.db.tenant(world.partnerId, (tx) => mappingOf(tx, world.partnerId, client.id));
  if (mapping === null) return null;
  const psa = await app.psaFor(mapping.connectionId, world.partnerId);
  return (
    (await psa.readSubscription({ contractId: client.contractId, lineId: client.lineId }, onDate))?.quantity ?? null
  );
}
