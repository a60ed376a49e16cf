import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { newId } from '../../src/core/id.ts';
import type { PartnerId } from '../../src/core/tenant.ts';
import { type DeliveryFilter, searchDeliveries, type TimeCursor } from '../../src/ledger/search.ts';
import { openDatabase, type TestDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

interface Mail {
  readonly at: number;
  readonly subject: string;
  readonly sender: string;
  readonly recipient: string;
  readonly verdict: string;
  readonly disposition: string;
  readonly messageId: string;
  readonly remoteAddress: string;
  readonly file: string | null;
}

const DAY = Date.parse('2026-10-14T00:00:00Z');

/** Puts mail in as the owner: one message and delivery each; what is under way is queued. Answers with the deliveries' ids. */
async function put(
  { owner }: TestDatabase,
  partner: PartnerId,
  client: string,
  mail: readonly Mail[],
): Promise<string[]> {
  const ids: string[] = [];
  for (const one of mail) {
    const [message, delivery] = [newId(), newId()];
    const at = new Date(DAY + one.at * 1000);
    const files = one.file === null ? [] : [{ name: one.file, type: 'application/pdf', bytes: 1 }];
    await owner.query(
      `insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id, from_address,
                             from_name, subject, attachments, bytes, sha256, received_at, node)
       values ($1, $2, 'c', 'inbound', $3, $4, 'h', true, $5, '', '', $6, $7, 1, '\\x00', $8, 'n')`,
      [partner, message, one.sender, one.remoteAddress, one.messageId, one.subject, JSON.stringify(files), at],
    );
    await owner.query(
      `insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score, accepted_at)
       values ($1, $2, $3, $4, $5, 'acme.example', 'inbound', $6, $7, 0, $8)`,
      [partner, client, delivery, message, one.recipient, one.verdict, one.disposition, at],
    );
    if (['queued', 'deferred'].includes(one.disposition)) {
      await owner.query(
        `insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, queued_at, due_at, expires_at)
         values ($1, $2, $3, $4, 'c', '', '', '', $5, $5, $5)`,
        [partner, delivery, client, message, at],
      );
    }
    ids.push(delivery);
  }
  return ids;
}

const PLAIN: Mail = {
  at: 0,
  subject: 'Your invoice 4711',
  sender: 'shop@market.example',
  recipient: 'ann@acme.example',
  verdict: 'clean',
  disposition: 'delivered',
  messageId: '<one@market.example>',
  remoteAddress: '192.0.2.1',
  file: null,
};

async function world(t: TestContext) {
  const database = await openDatabase(t);
  const partner = await seedPartner(database.db);
  const client = await seedClient(database.db, partner.id);
  const find = (filter: DeliveryFilter, first = 50, after: TimeCursor | null = null) =>
    database.db.tenant(partner.id, (tx) => searchDeliveries(tx, filter, { first, after }), { readOnly: true });
  return { database, partner: partner.id, client, find };
}

const TEXTS = ['invoice', 'INVOICE', '50%_off', 'a\\b', 'Ünïcode überweisung', 'in', 'news'];
const mails = fc.array(
  fc.record({
    at: fc.nat({ max: 5 }),
    subject: fc.array(fc.constantFrom(...TEXTS), { maxLength: 3 }).map((words) => words.join(' ')),
    sender: fc.constantFrom('', 'shop@market.example', 'news@list.example'),
    recipient: fc.constantFrom('ann@acme.example', 'invoices@acme.example'),
    verdict: fc.constantFrom('clean', 'spam', 'malware'),
    disposition: fc.constantFrom('queued', 'deferred', 'delivered', 'bounced', 'quarantined'),
    messageId: fc.constantFrom('<a@x>', 'b@x'),
    remoteAddress: fc.constantFrom('192.0.2.1', '2001:db8::1'),
    file: fc.constantFrom(null, 'invoice.pdf', 'a "b".pdf'),
  }),
  { minLength: 1, maxLength: 8 },
);
const maybe = <T>(...values: readonly T[]) => fc.option(fc.constantFrom(...values), { nil: undefined, freq: 1 });
const filters = fc.record({
  text: maybe(...TEXTS, 'ACME', 'market', '%'),
  subject: maybe(...TEXTS, 'zzz'),
  attachment: maybe('invoice', '"b', 'PDF', 'application'),
  sender: maybe('', 'shop@market.example'),
  recipient: maybe('ann@acme.example'),
  messageId: maybe('a@x', '<b@x>'),
  remoteAddress: maybe('2001:db8::1'),
  verdicts: maybe(['clean', 'malware'] as const, ['spam'] as const),
  dispositions: maybe(['queued', 'deferred'] as const, ['bounced'] as const, ['queued', 'delivered'] as const),
});

/** What a filter means, in the plainest way. */
function fits(mail: Mail, filter: Partial<Record<keyof DeliveryFilter, unknown>>): boolean {
  const holds = (text: string | null, part: unknown) =>
    text?.toLowerCase().includes(String(part).toLowerCase()) === true;
  const bare = (id: unknown) => String(id).replace(/^<|>$/g, '');
  return (
    (filter.text === undefined || [mail.subject, mail.sender, mail.recipient].some((one) => holds(one, filter.text))) &&
    (filter.subject === undefined || holds(mail.subject, filter.subject)) &&
    (filter.attachment === undefined || holds(mail.file, filter.attachment)) &&
    (filter.sender === undefined || mail.sender === filter.sender) &&
    (filter.recipient === undefined || mail.recipient === filter.recipient) &&
    (filter.messageId === undefined || bare(mail.messageId) === bare(filter.messageId)) &&
    (filter.remoteAddress === undefined || mail.remoteAddress === filter.remoteAddress) &&
    (filter.verdicts === undefined || (filter.verdicts as string[]).includes(mail.verdict)) &&
    (filter.dispositions === undefined || (filter.dispositions as string[]).includes(mail.disposition))
  );
}

test('a search finds what its filter says and nothing else, newest first, page by page', async (t) => {
  const { database, partner, client, find } = await world(t);
  await fc.assert(
    fc.asyncProperty(mails, filters, async (mail, filter) => {
      await database.owner.query('delete from messages');
      const ids = await put(database, partner, client, mail);
      const wanted = ids
        .map((id, index) => ({ id, mail: mail[index] as Mail }))
        .filter((one) => fits(one.mail, filter))
        .sort((a, b) => b.mail.at - a.mail.at || (a.id < b.id ? 1 : -1))
        .map((one) => one.id);
      const found: string[] = [];
      let after: TimeCursor | null = null;
      for (;;) {
        const page = await find(filter as DeliveryFilter, 3, after);
        found.push(...page.map((row) => row.id));
        const last = page.at(-1);
        if (page.length < 3 || last === undefined) break;
        after = { at: last.acceptedAt, id: last.id };
      }
      assert.deepEqual(found, wanted);
    }),
    { numRuns: 60 },
  );
});

test('rule 10: the function behind fragments finds the mail of the tenant that the transaction names, and none without one', async (t) => {
  const { database, partner, client, find } = await world(t);
  const other = await seedPartner(database.db, 'Other');
  const otherClient = await seedClient(database.db, other.id, { domain: 'other.example' });
  const [own] = await put(database, partner, client, [PLAIN]);
  await put(database, other.id, otherClient, [PLAIN, { ...PLAIN, file: 'invoice.pdf' }]);
  assert.deepEqual(
    (await find({ text: 'invoice' })).map((row) => row.id),
    [own],
  );
  assert.deepEqual(
    (await find({ attachment: 'invoice' })).map((row) => row.id),
    [],
  );

  const candidates = (part: string) =>
    database.owner.query<{ ids: string[] | null }>(`select trace_candidates($1, '%invoice%', 100) as ids`, [part]);
  for (const part of ['text', 'subject', 'attachment', 'other']) {
    assert.equal((await candidates(part)).rows[0]?.ids, null, 'nothing without a tenant');
  }
  await database.owner.query(`select set_config('app.partner', $1, false)`, [other.id]);
  assert.equal((await candidates('text')).rows[0]?.ids?.length, 2);
  assert.equal((await candidates('attachment')).rows[0]?.ids?.length, 1);
});

test('the function behind fragments answers with as many ids as it may whenever it left one out', async (t) => {
  const { database, partner, client } = await world(t);
  // One mail to many people, of whom each matches, and another to one of them.
  await put(database, partner, client, [{ ...PLAIN, sender: 'a@other.example' }]);
  await database.owner.query(
    `insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score, accepted_at)
     select d.partner_id, d.client_id, gen_random_uuid(), d.message_id, 'ann' || n || '@acme.example', d.domain, d.direction, d.verdict,
            d.disposition, 0, d.accepted_at
     from deliveries d, generate_series(1, 20) as n where d.partner_id = $1`,
    [partner],
  );
  await put(database, partner, client, [{ ...PLAIN, sender: 'a@other.example', messageId: '<two@market.example>' }]);
  await database.owner.query(`select set_config('app.partner', $1, false)`, [partner]);
  const { rows } = await database.owner.query<{ ids: string[] }>(
    `select trace_candidates('text', '%ann%@acme%', 5) as ids`,
  );
  assert.equal(rows[0]?.ids.length, 5);
});

test('a fragment that more messages hold than the index may answer with is found all the same', async (t) => {
  const { database, partner, client, find } = await world(t);
  await database.owner.query(
    `with made as (
       insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id, from_address,
                             from_name, subject, bytes, sha256, received_at, node)
       select $1, gen_random_uuid(), 'c', 'inbound', 'a@b.example', '192.0.2.1', 'h', true, n::text, '', '',
              case when n <= 20010 then 'frequent words' else 'other' end, 1, '\\x00', $3::timestamptz + n * interval '1 second', 'n'
       from generate_series(1, 25000) as n returning partner_id, id, received_at)
     insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score, accepted_at)
     select partner_id, $2, gen_random_uuid(), id, 'ann@acme.example', 'acme.example', 'inbound', 'clean', 'delivered', 0, received_at
     from made`,
    [partner, client, new Date(DAY)],
  );
  const rows = await find({ subject: 'frequent' }, 5);
  assert.equal(rows.length, 5);
  assert.deepEqual(rows[0]?.acceptedAt, new Date(DAY + 20_010_000));
});
