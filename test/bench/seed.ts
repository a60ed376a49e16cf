import { parseArgs } from 'node:util';
import { seedOf } from './seed/parameters.ts';
import { openSeeded } from './seed/seeded.ts';

/**
 * `npm run bench:seed -- [--clients N] [--days N] [--mailboxes N] [--events N] [--home FOLDER]`: makes the database that the read
 * bench asks, or says that it is there.
 */
const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1000' },
    days: { type: 'string' },
    mailboxes: { type: 'string' },
    events: { type: 'string' },
    home: { type: 'string' },
  },
});
const usual = seedOf(Number(values.clients));
const parameters = {
  ...usual,
  days: Number(values.days ?? usual.days),
  mailboxes: Number(values.mailboxes ?? usual.mailboxes),
  events: Number(values.events ?? usual.events),
};
const wrong = Object.entries(parameters).filter(([, value]) => !Number.isInteger(value) || value < 1);
if (wrong.length > 0 || parameters.days <= parameters.ledgerDays) {
  process.stderr.write('every number is whole and above 0, days above 3\n');
  process.exit(2);
}
const seeded = await openSeeded(parameters, (text) => process.stderr.write(`${text}\n`), values.home);
await seeded.close();
const took = seeded.seconds === null ? null : Math.round(seeded.seconds);
process.stdout.write(`${JSON.stringify({ folder: seeded.folder, seconds: took, ...seeded.counts })}\n`);
process.exit(0);
