import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { createPsaFactory } from '../../integrations/index.ts';
import { REPORTS, renderReport } from '../../reports/catalog.ts';
import { recordAudit } from '../accounts/audit.ts';
import { partnerOfClient, requireClient } from '../accounts/clients.ts';
import { addConnection, getConnection, mapClient } from '../accounts/connections.ts';
import { listPartners } from '../accounts/partners.ts';
import { applyPlan } from '../billing/apply.ts';
import { approvePlan, createPlan } from '../billing/plan.ts';
import { getPlans, type LineRow, listLines, listPlans } from '../billing/read.ts';
import { linkSubscription } from '../billing/subscriptions.ts';
import { takeSnapshot } from '../billing/usage.ts';
import { AppError } from '../core/errors.ts';
import { type LocalPeriod, localDate, monthPeriod, parseDate } from '../core/period.ts';
import { PSA_KINDS, type Psa, type PsaKind } from '../core/psa.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { listNodes, retireNode } from '../ledger/watermark.ts';
import { rebuild } from '../rollups/rebuild.ts';
import { verify } from '../rollups/verify.ts';
import { reportData } from '../wiring.ts';
import { readInput } from './accounts.ts';
import type { Command, CommandContext, Values } from './command.ts';
import { optional, required, requiredId } from './values.ts';

const ACTOR = 'cli';

function psaOf(context: CommandContext): (connection: string, partner: string) => Promise<Psa> {
  const { store, secrets, clock, logger, config } = context;
  const factory = createPsaFactory({ clock, logger, allowPrivateHosts: config.allowPrivateHosts });
  return async (connection, partner) =>
    factory(await store.db.system((tx) => getConnection(tx, partner, connection, secrets.sealKey), { readOnly: true }));
}

const credentialsFile = z.record(z.string(), z.string());

const psaConnect: Command = {
  name: 'psa connect',
  usage: `--partner ID --kind ${PSA_KINDS.join('|')} --url URL --credentials FILE.json [--settings FILE.json]`,
  summary: 'connect a PSA; its credentials are tried before they are stored',
  notes: [
    'The credentials file is a JSON object of texts, all of these keys and no others:',
    '',
    '  connectwise  {"companyId":"...","publicKey":"...","privateKey":"...","clientId":"..."}',
    '               companyId: the name typed at login; clientId: from developer.connectwise.com',
    '  autotask     {"userName":"...","secret":"...","integrationCode":"..."}',
    '               of an API user; integrationCode: its tracking identifier',
    '',
    'Delete the file afterwards: what is stored is sealed.',
  ].join('\n'),
  example: '--partner ID --kind connectwise --url https://na.myconnectwise.net --credentials cw.json',
  options: {
    partner: { type: 'string' },
    kind: { type: 'string' },
    url: { type: 'string' },
    credentials: { type: 'string' },
    settings: { type: 'string' },
  },
  async run(context, values) {
    const { store, secrets, clock, logger, config } = context;
    const partner = partnerId(requiredId(values, 'partner'));
    const kind = required(values, 'kind');
    if (!PSA_KINDS.some((one) => one === kind)) {
      throw new AppError('invalid_input', `--kind is ${PSA_KINDS.join(' or ')}`, { field: 'kind' });
    }
    const parsed = credentialsFile.safeParse(parseJson(await readInput(required(values, 'credentials'))));
    if (!parsed.success)
      throw new AppError('invalid_input', 'the credentials file is not an object of texts', { field: 'credentials' });
    const settingsFile = optional(values, 'settings');
    const settings =
      settingsFile === null ? {} : z.record(z.string(), z.unknown()).parse(parseJson(await readInput(settingsFile)));
    const input = {
      kind: kind as PsaKind,
      url: required(values, 'url'),
      credentials: parsed.data,
      settings,
      actor: ACTOR,
    };
    const factory = createPsaFactory({ clock, logger, allowPrivateHosts: config.allowPrivateHosts });
    let psa: Psa;
    try {
      psa = factory({ ...input, id: partner, partnerId: partner });
    } catch (cause) {
      // Of a connection that is stored it is a fault of the configuration; of a file that was just given, of the input.
      if (!(cause instanceof AppError) || cause.code !== 'config_invalid') throw cause;
      throw new AppError('invalid_input', `${cause.message}; tollgate help psa connect says what the files hold`, {
        cause,
      });
    }
    const found = await psa.check();
    const made = await store.db.tenant(partner, (tx) => addConnection(tx, input, secrets.sealKey));
    return { output: { ...made, version: found.version, notes: found.notes } };
  },
};

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('invalid_input', 'the file is not JSON', { field: 'file', cause });
  }
}

const psaMap: Command = {
  name: 'psa map',
  usage: '--client ID --connection ID --company ID',
  summary: 'say which company of the PSA a client is',
  options: { client: { type: 'string' }, connection: { type: 'string' }, company: { type: 'string' } },
  async run(context, values) {
    const { store } = context;
    const clientId = requiredId(values, 'client');
    const connectionId = requiredId(values, 'connection');
    const partner = await store.db.system((tx) => partnerOfClient(tx, clientId));
    const psa = await psaOf(context)(connectionId, partner);
    const company = await psa.getCompany(required(values, 'company'));
    if (company === null) throw new AppError('not_found', 'the PSA has no such company');
    if (!company.active) throw new AppError('conflict', `${company.name} is inactive in the PSA`);
    await store.db.tenant(partnerId(partner), (tx) =>
      mapClient(tx, { clientId, connectionId, companyId: company.id, companyName: company.name, actor: ACTOR }),
    );
    return { output: { companyId: company.id, companyName: company.name } };
  },
};

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

const reportRender: Command = {
  name: 'report render',
  usage: `--client ID --report ${REPORTS.join('|')} --period YYYY-MM|YYYY-MM-DD..YYYY-MM-DD --out FILE`,
  summary: 'render a report to a file (.pdf or .csv)',
  options: {
    client: { type: 'string' },
    report: { type: 'string' },
    period: { type: 'string' },
    out: { type: 'string' },
  },
  async run({ store, clock }, values) {
    const clientId = requiredId(values, 'client');
    const report = required(values, 'report');
    const out = required(values, 'out');
    const partner = partnerId(await store.db.system((tx) => partnerOfClient(tx, clientId)));
    const rendered = await store.db.tenant(
      partner,
      async (tx) => {
        const client = await requireClient(tx, clientId);
        const period = readPeriod(required(values, 'period'), client.timeZone);
        const format = out.endsWith('.csv') ? 'csv' : 'pdf';
        return renderReport(reportData, tx, { report, clientId, period, format, version: 1, now: clock.now() });
      },
      { readOnly: true, repeatableRead: true },
    );
    await writeFile(out, rendered.bytes).catch((cause: unknown) => {
      throw new AppError('invalid_input', `the file ${out} can't be written`, { field: 'out', cause });
    });
    return {
      output: {
        file: out,
        bytes: rendered.bytes.length,
        complete: rendered.complete,
        completeThrough: rendered.completeThrough,
      },
    };
  },
};

function readPeriod(text: string, zone: string): LocalPeriod {
  const range = /^(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})$/.exec(text);
  if (range?.[1] === undefined || range[2] === undefined) return monthPeriod(text, zone);
  const [from, to] = [parseDate(range[1], 'period').toString(), parseDate(range[2], 'period').toString()];
  if (from > to) throw new AppError('invalid_input', 'the period ends before it begins', { field: 'period' });
  return { from, to, zone };
}

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

const billingPlan: Command = {
  name: 'billing plan',
  usage: '[--partner ID] [--day YYYY-MM-DD] [--large-changes]',
  summary: 'compute the difference between usage and the PSA, of one partner or of all; writes nothing there',
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
      plans.push({ partnerId: partner, id, lines: await linesOf(context, partner, id) });
    }
    return { output: { plans } };
  },
};

const billingApply: Command = {
  name: 'billing apply',
  usage: '[--partner ID [--plan ID]]',
  summary: 'approve the newest plan, of one partner or of all, apply it and read the quantities back',
  options: { partner: { type: 'string' }, plan: { type: 'string' } },
  async run(context, values) {
    const { store, clock, logger } = context;
    const wanted = optional(values, 'plan') === null ? null : requiredId(values, 'plan');
    if (wanted !== null) requiredId(values, 'partner');
    const plans = [];
    for (const partner of await partnersMeant(context, values)) {
      const id = wanted ?? (await newestPlan(context, partner));
      if (id === null) continue;
      const state = await store.db.tenant(partner, (tx) => planState(tx, id), { readOnly: true });
      if (state === 'planned') await store.db.tenant(partner, (tx) => approvePlan(tx, id, ACTOR));
      const result = await applyPlan({ db: store.db, psaFor: psaOf(context), clock, logger }, partner, id);
      plans.push({ partnerId: partner, id, ...result, lines: await linesOf(context, partner, id) });
    }
    return {
      output: { plans },
      // The state says that the plan is done with, also when all of its lines are held: people read "applied" otherwise.
      forPeople: { plans: plans.map((plan) => ({ ...plan, state: appliedWords(plan) })) },
      words: plans.length === 0 ? ['there was nothing to apply: make a plan with billing plan'] : [],
      exitCode: plans.every((plan) => plan.state === 'applied') ? 0 : 1,
    };
  },
};

function appliedWords({ state, lines }: { readonly state: string; readonly lines: readonly LineRow[] }): string {
  const held = lines.filter((line) => line.state === 'held').length;
  if (state !== 'applied' || held === 0) return state;
  return held === lines.length ? 'nothing applied: all lines are held' : `applied, but for ${held} held`;
}

async function partnersMeant({ store }: CommandContext, values: Values): Promise<PartnerId[]> {
  if (optional(values, 'partner') !== null) return [partnerId(requiredId(values, 'partner'))];
  return (await store.db.system(listPartners, { readOnly: true })).map((partner) => partnerId(partner.id));
}

function linesOf({ store }: CommandContext, partner: PartnerId, planId: string): Promise<LineRow[]> {
  return store.db.tenant(partner, (tx) => listLines(tx, planId, { first: 1_000, after: null }), { readOnly: true });
}

/** Null: the partner has no plan. */
async function newestPlan({ store }: CommandContext, partner: PartnerId): Promise<string | null> {
  const [plan] = await store.db.tenant(partner, (tx) => listPlans(tx, { first: 1, after: null }), { readOnly: true });
  return plan?.id ?? null;
}

async function planState(tx: TenantTx, planId: string): Promise<string> {
  const [plan] = await getPlans(tx, [planId]);
  if (plan === undefined) throw new AppError('not_found', `the partner has no plan ${planId}`, { field: 'plan' });
  return plan.state;
}

const verifyCommand: Command = {
  name: 'verify',
  usage: '',
  summary: 'count the ledger anew and compare it with the rollups',
  options: {},
  async run({ store }) {
    const { groups, differences } = await verify(store.db);
    return {
      output: { groups, differences },
      words: groups === 0 ? ['nothing is counted yet: no mail has come since the start, or none is kept any more'] : [],
      exitCode: differences.length === 0 ? 0 : 1,
    };
  },
};

const rebuildCommand: Command = {
  name: 'rebuild',
  usage: '',
  summary: 'drop the rollups and count them anew from the ledger',
  options: {},
  run: async ({ store }) => ({ output: { ...(await rebuild(store.db)) } }),
};

const migrateCommand: Command = {
  name: 'migrate',
  usage: '',
  summary: 'bring the database to the newest step',
  options: {},
  run: async ({ store }) => ({ output: { applied: store.migrated } }),
};

const nodeRetire: Command = {
  name: 'node retire',
  usage: '--node NAME',
  summary: 'give up a dead node, so that the periods it held open become complete',
  options: { node: { type: 'string' } },
  async run({ store }, values) {
    const node = required(values, 'node');
    const retired = await store.db.system(async (tx) => {
      const done = await retireNode(tx, node);
      // A node serves all partners: each is told that its periods were completed by hand.
      for (const { id } of done ? await listPartners(tx) : [])
        await recordAudit(tx, { partnerId: id, actor: ACTOR, action: 'node.retire', subject: node });
      return done;
    });
    if (!retired)
      throw new AppError('not_found', `there is no such node ${node}, or it is retired already; doctor lists them`);
    return { output: { retired } };
  },
};

const doctor: Command = {
  name: 'doctor',
  usage: '',
  summary: 'look at what most often goes wrong',
  options: {},
  async run({ store, config, clock }) {
    const nodes = await store.db.system(listNodes, { readOnly: true });
    const partners = await store.db.system(listPartners, { readOnly: true });
    const silent = nodes.filter(
      (node) => node.state === 'alive' && clock.now().getTime() - node.heartbeatAt.getTime() > 30_000,
    );
    const checks = {
      database: 'reachable and migrated',
      home: config.home,
      partners: partners.length,
      nodes: nodes.map((node) => `${node.id} ${node.state} through ${node.flushedThrough.toISOString()}`),
      silentNodes: silent.map((node) => node.id),
    };
    return { output: checks, exitCode: silent.length === 0 ? 0 : 1 };
  },
};

export const domainCommands: readonly Command[] = [
  psaConnect,
  psaMap,
  billingLink,
  reportRender,
  billingSnapshot,
  billingPlan,
  billingApply,
  verifyCommand,
  rebuildCommand,
  migrateCommand,
  nodeRetire,
  doctor,
];
