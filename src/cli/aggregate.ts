import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { packFile } from '../aggregates/packed.ts';
import { getReports, listReports, type ReportState } from '../aggregates/read.ts';
import { readReports } from '../aggregates/read-file.ts';
import { type Origin, type Outcome, refuseFile, STANDING, takeReport } from '../aggregates/store.ts';
import { AppError } from '../core/errors.ts';
import { partnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import type { Command } from './command.ts';
import { oneOf, optional, requiredId } from './values.ts';

const STATES: readonly ReportState[] = ['taken', 'conflict', 'refused'];
const LISTED = 1_000;

const aggregateImport: Command = {
  name: 'aggregate import',
  usage: '--partner ID FILE...',
  summary: 'bring in DMARC and TLS reports (.xml, .json, .gz, .zip, .eml); the same report again changes nothing',
  options: { partner: { type: 'string' } },
  positionals: ['FILE...'],
  async run({ store, clock }, values, names) {
    const partner = partnerId(requiredId(values, 'partner'));
    const files: Record<string, unknown>[] = [];
    for (const name of names) {
      const content = await readFile(name).catch((cause: unknown) => {
        throw new AppError('invalid_input', `${name} can't be read`, { field: 'file', cause });
      });
      for (const file of (await readReports(name, content, clock.now())).map(packFile)) {
        const origin: Origin = {
          source: 'file',
          mailId: null,
          fileName: path.basename(file.name).slice(0, 255),
          standing: STANDING.file,
        };
        const take = async (tx: TenantTx): Promise<Outcome[]> => {
          if ('fault' in file.result) return [await refuseFile(tx, file.digest, file.result.fault, origin, null)];
          const outcomes: Outcome[] = [];
          for (const report of file.result.reports) outcomes.push(await takeReport(tx, report, origin));
          return outcomes;
        };
        for (const outcome of await store.db.tenant(partner, take)) files.push({ file: name, ...outcome });
      }
    }
    const refused = files.some(({ state, reason }) => state === 'refused' || state === 'conflict' || reason !== null);
    return { output: { files }, exitCode: refused ? 1 : 0 };
  },
};

const aggregateList: Command = {
  name: 'aggregate list',
  usage: `--partner ID [--domain D] [--state ${STATES.join('|')}]`,
  summary: 'print the reports that came in, what became of each and why, the newest first (at most 1000)',
  options: { partner: { type: 'string' }, domain: { type: 'string' }, state: { type: 'string', check: oneOf(STATES) } },
  async run({ store }, values) {
    const partner = partnerId(requiredId(values, 'partner'));
    const wanted = optional(values, 'state');
    const state = STATES.find((one) => one === wanted) ?? null;
    if (wanted !== null && state === null) {
      throw new AppError('invalid_input', `--state is ${STATES.join(', ')}`, { field: 'state' });
    }
    const filter = { clientId: null, domain: optional(values, 'domain')?.toLowerCase() ?? null, state };
    const reports = await store.db.tenant(partner, (tx) => listReports(tx, filter, { first: LISTED, after: null }), {
      readOnly: true,
    });
    return {
      output: { reports },
      forPeople: {
        reports: reports.map(({ id, day, kind, domain, org, messages, state: now, reason }) => ({
          ...{ id, day, kind, domain, org, messages, state: now, reason },
        })),
      },
    };
  },
};

const aggregateShow: Command = {
  name: 'aggregate show',
  usage: '--partner ID --report ID',
  summary: 'one report that came in, with its file, its period and its policy',
  options: {
    partner: { type: 'string' },
    report: { type: 'string', help: 'id of the report (aggregate list)', check: requiredId },
  },
  async run({ store }, values) {
    const partner = partnerId(requiredId(values, 'partner'));
    const id = requiredId(values, 'report');
    const [report] = await store.db.tenant(partner, (tx) => getReports(tx, [id]), { readOnly: true });
    if (report === undefined)
      throw new AppError('not_found', `there is no report ${id}; aggregate list shows them`, { field: 'report' });
    return { output: { ...report } };
  },
};

export const aggregateCommands: readonly Command[] = [aggregateImport, aggregateList, aggregateShow];
