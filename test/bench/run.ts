import { renderTable } from '../../src/demo/table.ts';
import { benchAccept } from './accept.ts';

/**
 * The measurements of this folder, as a table and, with --json, as JSON. What counts is the ratio of two rates of one run on one
 * machine, never a rate alone.
 */
const MS = 5_000;

const accept = await benchAccept(MS);
const rows = [
  {
    name: 'accept 10 KB, 10 kept connections, durable',
    ours: accept.gatewayPerSecond,
    peer: 'bare smtp-server, file with fsync',
    theirs: accept.barePerSecond,
    ratio: accept.ratio,
  },
];
if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(rows)}\n`);
else {
  process.stdout.write(
    `${renderTable(
      ['measured', 'Tollgate/s', 'beside', 'peer/s', 'ratio'],
      rows.map((row) => [row.name, Math.round(row.ours), row.peer, Math.round(row.theirs), row.ratio.toFixed(2)]),
    )}\n`,
  );
}
process.exit(0);
