import { writeFile } from 'node:fs/promises';
import { REPORTS, renderReport } from '../../reports/catalog.ts';
import { recordAudit } from '../accounts/audit.ts';
import { partnerOfClient, requireClient } from '../accounts/clients.ts';
import { listPartners } from '../accounts/partners.ts';
import { AppError } from '../core/errors.ts';
import { type LocalPeriod, monthPeriod, parseDate } from '../core/period.ts';
import { partnerId } from '../core/tenant.ts';
import type { SystemTx } from '../db/db.ts';
import { listNodes, retireNode } from '../ledger/watermark.ts';
import { describeHolder, HELD_SECONDS, horizonHolder } from '../rollups/holder.ts';
import { rebuild } from '../rollups/rebuild.ts';
import { horizonAgeSeconds } from '../rollups/state.ts';
import { verify } from '../rollups/verify.ts';
import { reportData } from '../wiring.ts';
import type { Command } from './command.ts';
import { oneOf, required, requiredId } from './values.ts';

const ACTOR = 'cli';

const reportRender: Command = {
  name: 'report render',
  usage: `--client ID --report ${REPORTS.join('|')} --period YYYY-MM|YYYY-MM-DD..YYYY-MM-DD --out FILE`,
  summary: 'render a report to a file (.pdf or .csv)',
  options: {
    client: { type: 'string' },
    report: { type: 'string', check: oneOf(REPORTS) },
    period: { type: 'string', check: (given, name) => readPeriod(required(given, name), 'UTC') },
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
  summary: 'count the rollups anew from the ledger and write what differs',
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

/** The transaction that has kept the rollups standing for more than a minute; null: none does. */
async function heldBy(tx: SystemTx): Promise<string | null> {
  const holder = await horizonHolder(tx);
  if (holder === null) return null;
  // The age of a session that this role may not look into is that of the horizon, which grows while nothing rolls, too.
  const seconds = holder.seconds ?? (await horizonAgeSeconds(tx));
  return seconds > HELD_SECONDS ? describeHolder(holder) : null;
}

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
    const held = await store.db.system(heldBy, { readOnly: true });
    const checks = {
      database: 'reachable and migrated',
      home: config.home,
      partners: partners.length,
      nodes: nodes.map((node) => `${node.id} ${node.state} through ${node.flushedThrough.toISOString()}`),
      silentNodes: silent.map((node) => node.id),
      rollupsHeldBy: held,
    };
    return { output: checks, exitCode: silent.length === 0 && held === null ? 0 : 1 };
  },
};

export const domainCommands: readonly Command[] = [
  reportRender,
  verifyCommand,
  rebuildCommand,
  migrateCommand,
  nodeRetire,
  doctor,
];
