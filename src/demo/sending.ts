import type { App } from '../app.ts';
import { sql } from '../db/sql.ts';
import type { Checks } from './checks.ts';
import type { DemoMail } from './corpus.ts';
import { Progress } from './progress.ts';
import type { Say } from './say.ts';
import type { DemoWorld } from './setup.ts';
import type { SpecialMail } from './special.ts';
import { planTraffic, type SentCounts, sendTraffic } from './traffic.ts';
import { waitFor } from './wait.ts';

const CONNECTIONS = 10;
const DRAIN_LIMIT_MS = 90_000;

/** Sends the corpus and the built mail, waits until what is clean has arrived at the sinks that are up. */
export async function sendMail(
  app: App,
  world: DemoWorld,
  smtp: string,
  mails: readonly DemoMail[],
  special: readonly SpecialMail[],
  checks: Checks,
  say: Say,
): Promise<Map<string, SentCounts>> {
  say.title(
    `2  ${mails.length.toLocaleString('en')} messages of the SpamAssassin corpus over ${CONNECTIONS} SMTP connections`,
  );
  const [host, port] = smtp.split(/:(?=\d+$)/);
  const to = { host: host ?? '127.0.0.1', port: Number(port) };
  const first = world.clients[0];
  const builtFor = first?.mailboxes[0];
  if (first === undefined || builtFor === undefined) throw new Error('the demo has clients');
  const planned = [...special.map((mail) => ({ mail, recipients: [builtFor] })), ...planTraffic(mails, world.clients)];
  const progress = new Progress('sent', planned.length, process.stdout);
  const counts = await sendTraffic(to, planned, world.clients, CONNECTIONS, () => progress.step());

  for (const mail of special) {
    const seen = await verdictOf(app, mail);
    checks.equal(`built mail: ${mail.label}`, `${mail.expected}, quarantined`, `${seen.verdict}, ${seen.disposition}`);
  }
  const refused = [...counts.values()].reduce((sum, count) => sum + count.refused, 0);
  say.line(`  ${refused} unknown recipients were refused with 550 5.1.1`);
  checks.equal(
    'unknown recipients refused',
    planned.flatMap((one) => one.recipients).filter((to) => to.startsWith('nobody-')).length,
    refused,
  );
  return counts;
}

async function verdictOf(app: App, mail: SpecialMail): Promise<{ verdict: string; disposition: string }> {
  const row = await app.store.db.system((tx) =>
    tx.maybe<{ verdict: string; disposition: string }>(sql`
      select d.verdict, d.disposition from deliveries d join messages m on m.partner_id = d.partner_id and m.id = d.message_id
      where m.subject = ${`Documents for you (${mail.label})`}`),
  );
  return row ?? { verdict: 'not found', disposition: 'not found' };
}

/** Waits until nothing is left in the queue. */
export async function waitForDelivery(app: App): Promise<void> {
  await waitFor('all mail to be delivered', DRAIN_LIMIT_MS, async () => {
    const row = await app.store.db.system((tx) => tx.one<{ n: number }>(sql`select count(*) as n from queue`), {
      readOnly: true,
    });
    return row.n === 0;
  });
}
