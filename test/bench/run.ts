import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { renderTable } from '../../src/demo/table.ts';
import { benchAccept } from './accept.ts';
import { benchFlood } from './flood.ts';
import { benchGrowth, benchOverview } from './growth.ts';
import { benchMemory } from './memory.ts';
import { benchPath } from './path.ts';
import { benchQueue } from './queue.ts';
import { benchRead } from './read.ts';
import { benchRollup } from './rollup.ts';
import type { Bench, Row } from './row.ts';
import { benchTrace } from './trace.ts';

/**
 * `npm run bench -- [--only NAME]... [--runs N] [--seconds N] [--clients N] [--json]`: the measurements of this folder. What counts is the
 * ratio of two figures of one run on one machine, never a figure alone. A peer that is not installed is said to be missing.
 */
const BENCHES: Readonly<Record<string, Bench>> = {
  accept: benchAccept,
  path: benchPath,
  memory: benchMemory,
  queue: benchQueue,
  flood: benchFlood,
  read: benchRead,
  trace: benchTrace,
  overview: benchOverview,
  growth: benchGrowth,
  rollup: benchRollup,
};

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '20' },
    clients: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
});
const names = values.only ?? Object.keys(BENCHES);
const unknown = names.filter((name) => BENCHES[name] === undefined);
if (unknown.length > 0) {
  process.stderr.write(`There is no bench ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}.\n`);
  process.exit(2);
}
const options = {
  runs: positive('runs', values.runs),
  seconds: positive('seconds', values.seconds),
  clients: positive('clients', values.clients),
};

const rows: Row[] = [];
for (const name of names) {
  process.stderr.write(`bench ${name}\n`);
  rows.push(...((await BENCHES[name]?.(options)) ?? []));
}
const skipped = new Set(
  rows.flatMap((row) => row.peers).flatMap((peer) => (peer.skipped ? [`${peer.name}: ${peer.skipped}`] : [])),
);
for (const one of skipped) process.stderr.write(`SKIPPED ${one}\n`);
const machine = {
  processors: cpus().length,
  model: cpus()[0]?.model ?? '',
  load: loadavg()[0] ?? 0,
  node: process.version,
};
if (values.json) process.stdout.write(`${JSON.stringify({ machine, options, rows })}\n`);
else {
  process.stdout.write(
    `${renderTable(
      ['measured', 'unit', 'Tollgate', 'beside', 'peer', 'ratio'],
      rows.flatMap((row) =>
        row.peers.length === 0
          ? [[row.measured, row.unit, shown(row.ours), '', '', '']]
          : row.peers.map((peer) => [
              row.measured,
              row.unit,
              shown(row.ours),
              peer.name,
              peer.value === null ? 'skipped' : shown(peer.value),
              peer.value === null || peer.value === 0 ? '' : (row.ours / peer.value).toFixed(2),
            ]),
      ),
    )}\n${machine.processors} processors, load average ${machine.load.toFixed(1)} at the end, Node ${machine.node}\n`,
  );
}
process.exit(0);

function shown(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 10 ? 1 : 2);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  process.stderr.write(`--${name} is a whole number above 0\n`);
  return process.exit(2);
}
