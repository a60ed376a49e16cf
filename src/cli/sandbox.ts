import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type AutotaskSandbox,
  type ConnectWiseSandbox,
  startAutotaskSandbox,
  startConnectWiseSandbox,
} from '../../integrations/sandbox/index.ts';
import type { SeenRequest } from '../../integrations/sandbox/server.ts';
import { prepareFolder } from '../config/home.ts';
import { addDays, localDate } from '../core/period.ts';
import { PSA_KINDS } from '../core/psa.ts';
import type { Described, Values } from './command.ts';
import { oneOf, optional, required, wholeOr } from './values.ts';

const QUANTITY = 1;

export const SANDBOX: Described = {
  name: 'sandbox',
  usage: `--kind ${PSA_KINDS.join('|')} [--port N] [--out FOLDER] [--company NAME] [--quantity N]`,
  summary: 'run a PSA of the kind on 127.0.0.1 to try billing and tickets on; it forgets everything when it ends',
  notes: [
    'It has one company with one contract line that bills --quantity. Credentials and settings for psa connect are written to --out. One line',
    'of JSON names everything when it is ready; then there is a line for each request that changes something. It ends at Ctrl-C.',
    'TOLLGATE_ALLOW_PRIVATE_HOSTS has to list 127.0.0.1 for whoever connects to it. docs/billing.md is a whole round.',
  ].join('\n'),
  example: '--kind connectwise --port 9001 --out /tmp',
  options: {
    kind: { type: 'string', check: oneOf(PSA_KINDS) },
    port: { type: 'string', check: portOf, help: 'a free one unless given' },
    out: { type: 'string', help: 'folder for the two files; unless given, this one' },
    company: { type: 'string', help: 'name of the company; unless given, First client' },
    quantity: { type: 'string', check: quantityOf, help: `what the line bills at first; unless given, ${QUANTITY}` },
  },
};

function portOf(values: Values): number {
  return wholeOr(values, 'port', 0, [0, 65_535]);
}

function quantityOf(values: Values): number {
  return wholeOr(values, 'quantity', QUANTITY, [0, 100_000]);
}

/** Runs a sandbox until `stopped`. Throws `config_invalid` for a folder that can't be written to. */
export async function runSandbox(values: Values, stopped: Promise<unknown>): Promise<number> {
  const kind = required(values, 'kind');
  const out = path.resolve(optional(values, 'out') ?? '.');
  await prepareFolder('--out', out);
  const options = { port: portOf(values), onAnswer: tell };
  const sandbox: ConnectWiseSandbox | AutotaskSandbox =
    kind === 'connectwise' ? await startConnectWiseSandbox(options) : await startAutotaskSandbox(options);
  try {
    const name = optional(values, 'company') ?? 'First client';
    const { id } = sandbox.state.addCompany(name);
    // Old enough that this month is one of its periods.
    const startDate = `${addDays(localDate(new Date(), 'UTC'), -365).slice(0, 8)}01`;
    const quantity = quantityOf(values);
    const { contractId, lineId } = sandbox.state.addSubscription(id, { quantity, startDate });
    const file = async (suffix: string, content: unknown) => {
      const written = path.join(out, `${kind}${suffix}.json`);
      await writeFile(written, `${JSON.stringify(content)}\n`, { mode: 0o600 });
      return written;
    };
    const credentials = await file('', sandbox.credentials);
    const settings = await file('-settings', sandbox.settings);
    const about = { company: String(id), name, contract: contractId, line: lineId, quantity, credentials, settings };
    process.stdout.write(`${JSON.stringify({ ready: true, kind, url: sandbox.url, ...about })}\n`);
    await stopped;
  } finally {
    await sandbox.close();
  }
  return 0;
}

/** What only reads is not told: Autotask's questions are posted too. */
function tell({ method, path: where, status, body }: SeenRequest): void {
  if (method === 'GET' || /\/query(\?|$)/.test(where)) return;
  process.stdout.write(`${JSON.stringify({ method, path: where, status, body })}\n`);
}
