import type { App } from '../app.ts';
import { interval, localDate } from '../core/period.ts';
import { deliveryBalance, recount } from '../ledger/read.ts';
import { verify } from '../rollups/verify.ts';
import { type Api, askStatistics } from './api.ts';
import type { Checks } from './checks.ts';
import type { Say } from './say.ts';
import type { DemoWorld } from './setup.ts';
import { renderTable } from './table.ts';
import type { SentCounts } from './traffic.ts';
import { waitFor } from './wait.ts';

interface Compared {
  readonly app: App;
  readonly world: DemoWorld;
  readonly api: Api;
  readonly sent: ReadonlyMap<string, SentCounts>;
  readonly started: Date;
}

/** Reads the statistics through GraphQL and holds them against a recount of the ledger and against what was sent. */
export async function compareStatistics(
  { app, world, api, sent, started }: Compared,
  checks: Checks,
  say: Say,
): Promise<void> {
  say.title('4  Statistics, beside the ledger and what was sent');
  const now = new Date();
  const days = (zone: string) => ({ from: localDate(started, zone), to: localDate(now, zone), zone });
  await waitFor('the rollups to hold everything', 60_000, async () => {
    const first = world.clients[0];
    if (first === undefined) return true;
    const period = days(first.zone);
    const { completeThrough } = await askStatistics(api, first.id, period.from, period.to);
    return completeThrough !== null && new Date(completeThrough) > now;
  });

  const rows = [];
  for (const client of world.clients) {
    const period = days(client.zone);
    const { totals } = await askStatistics(api, client.id, period.from, period.to);
    const ledger = await app.store.db.tenant(world.partnerId, (tx) =>
      recount(tx, world.partnerId, client.id, interval(period)),
    );
    const own = sent.get(client.id) ?? { messages: 0, deliveries: 0, refused: 0 };
    const verdict = (name: string) =>
      totals.byVerdict.find((row) => row.verdict.toLowerCase() === name)?.deliveries ?? 0;
    rows.push([
      client.name,
      totals.messages,
      ledger.messages,
      own.messages,
      totals.deliveries,
      ledger.deliveries,
      own.deliveries,
      verdict('clean') + verdict('bulk'),
      totals.deliveries - verdict('clean') - verdict('bulk'),
    ]);
    const pick = (from: { messages: number; deliveries: number; refused: number }) => [
      from.messages,
      from.deliveries,
      from.refused,
    ];
    checks.equal(`${client.name}: API = sent (messages, deliveries, refused)`, pick(own), pick(totals));
    checks.equal(`${client.name}: ledger = API (messages, deliveries, refused)`, pick(totals), pick(ledger));
    const balance = await app.store.db.tenant(world.partnerId, (tx) => deliveryBalance(tx, world.partnerId, client.id));
    const held = [...balance.byDisposition.values()].reduce((sum, count) => sum + count, 0);
    checks.equal(`${client.name}: accepted = delivered + quarantined + … + queued`, balance.accepted, held);
    const delivered = balance.byDisposition.get('delivered') ?? 0;
    const tagged = balance.byDisposition.get('tagged') ?? 0;
    checks.equal(
      `${client.name}: delivered = taken by its server`,
      delivered + tagged,
      world.sinks.get(client.domain)?.deliveries,
    );
  }
  say.line(
    renderTable(
      ['client', 'messages API', 'ledger', 'sent', 'deliveries API', 'ledger', 'sent', 'wanted', 'unwanted'],
      rows as (string | number)[][],
    ),
  );
  const verified = await verify(app.store.db);
  checks.equal('rollups that differ from a recount', 0, verified.differences.length);
}
