import { Child } from './process.ts';
import { load } from './read/load.ts';
import { trace } from './read/questions.ts';
import { type Bench, percentile, type Row } from './row.ts';
import { PARTNER_ID, seedOf } from './seed/parameters.ts';
import { openSeeded, type Seeded } from './seed/seeded.ts';
import { WORDS } from './seed/words.ts';

/** Questions of each kind; every one with other values, so that no page is asked for twice. */
const ASKED = 60;

interface Kind {
  readonly name: string;
  readonly filters: readonly object[];
}

/**
 * The message trace over the whole partner, 25 a page, newest first, through GraphQL: what people look for, each kind with many
 * values. `bench` of the goal: p99 below 300 ms each.
 */
export const benchTrace: Bench = async ({ clients }) => {
  const seeded = await openSeeded(seedOf(clients), (text) => process.stderr.write(`seed: ${text}\n`));
  try {
    const kinds = await makeKinds(seeded);
    const { child, ports } = await Child.start('api', { ownerUrl: seeded.store.ownerUrl });
    try {
      const rows: Row[] = [];
      for (const { name, filters } of kinds) rows.push(await measure(seeded, ports[0] ?? 0, name, filters));
      return rows;
    } finally {
      await child.stop();
    }
  } finally {
    await seeded.close();
  }
};

async function measure(seeded: Seeded, port: number, name: string, filters: readonly object[]): Promise<Row> {
  const requests = filters.map((filter) => trace(seeded.apiKey, filter));
  const { latencies } = await load(port, requests, { connections: 1, count: requests.length }, (body) => {
    return !body.includes('"errors"');
  });
  const p = (share: number) => Math.round(percentile(latencies, share));
  return { bench: 'trace', measured: `trace by ${name}, p99 (p50 ${p(0.5)} ms)`, unit: 'ms', ours: p(0.99), peers: [] };
}

async function makeKinds({ owner, counts }: Seeded): Promise<Kind[]> {
  const sample = async <T>(query: string) => (await owner.query(query, [PARTNER_ID, ASKED])).rows as T[];
  // From all over the days: every n-th of the newest-first order would favour the cache.
  const mail = await sample<{
    sender: string;
    recipient: string;
    message_id: string;
    remote_address: string;
    subject: string;
    client_id: string;
    at: Date;
    id: string;
  }>(`
    select m.sender, d.recipient, m.header_message_id as message_id, m.remote_address, m.subject, d.client_id, d.accepted_at as at
    from deliveries d tablesample system (0.2) repeatable (7)
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = $1 and m.sender <> '' order by md5(d.id::text) limit $2`);
  const { globalId } = await import('../../src/graphql/ids.ts');
  const clientOf = (id: string) => globalId('Client', id);
  const upTo = (at: Date) => ({ from: new Date(at.getTime() - 6 * 3_600_000).toISOString(), to: at.toISOString() });
  const each = (make: (one: (typeof mail)[number], index: number) => object) => mail.map(make);
  const word = (index: number) => WORDS[(index * 7) % WORDS.length] ?? '';
  const rare = (index: number) =>
    `INV-${`${3 * ((index * 9_973) % Math.floor(counts.deliveries / 3))}`.padStart(8, '0')}`;
  return [
    { name: 'nothing, newest first', filters: each(() => ({})) },
    { name: 'nothing, a day and a quarter hour back', filters: each((one) => ({ to: one.at.toISOString() })) },
    { name: 'client', filters: each((one) => ({ clientId: clientOf(one.client_id) })) },
    { name: 'sender', filters: each((one) => ({ sender: one.sender })) },
    { name: 'recipient', filters: each((one) => ({ recipient: one.recipient })) },
    { name: 'Message-ID', filters: each((one) => ({ messageId: one.message_id })) },
    { name: 'IP address', filters: each((one) => ({ remoteAddress: one.remote_address })) },
    {
      name: 'verdict',
      filters: each((one, n) => ({ verdicts: [['SPAM', 'PHISH', 'MALWARE', 'UNSCANNABLE'][n % 4]], ...upTo(one.at) })),
    },
    {
      name: 'disposition',
      filters: each((_, n) => ({
        dispositions: [['QUARANTINED', 'BOUNCED', 'RELEASED', 'QUEUED', 'DISCARDED'][n % 5]],
      })),
    },
    {
      name: 'range of six hours and client',
      filters: each((one) => ({ ...upTo(one.at), clientId: clientOf(one.client_id) })),
    },
    { name: 'word of the subject', filters: each((_, n) => ({ subject: word(n) })) },
    { name: 'number in the subject', filters: each((_, n) => ({ subject: rare(n) })) },
    {
      name: 'two words and a client',
      filters: each((one) => ({ subject: one.subject.slice(4, 22), clientId: clientOf(one.client_id) })),
    },
    { name: 'text in subject, sender or recipient', filters: each((one) => ({ text: one.sender.slice(0, 14) })) },
    { name: 'text that nothing holds', filters: each((_, n) => ({ text: `nothing-like-this-${n}` })) },
    { name: 'name of a file', filters: each((_, n) => ({ attachment: `${word(n)}-${n * 131}` })) },
  ];
}
