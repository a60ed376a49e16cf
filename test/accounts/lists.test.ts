import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recipientContexts, resolveRecipient } from '../../src/accounts/directory.ts';
import { readListCsv } from '../../src/accounts/list-csv.ts';
import {
  addListEntry,
  addMasterEntries,
  importListLines,
  LIST_LIMITS,
  listEntries,
  masterEntries,
  normalizePattern,
  removeMasterEntry,
  setListEntry,
} from '../../src/accounts/lists.ts';
import type { CommandContext } from '../../src/cli/command.ts';
import { listCommands } from '../../src/cli/lists.ts';
import type { Store } from '../../src/db/store.ts';
import { openDatabase } from '../support/db.ts';
import { afterFirstRead } from '../support/gate.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const fails = (code: string, message: RegExp) => (error: unknown) =>
  (error as { code?: string }).code === code && message.test((error as Error).message);

test('patterns: addresses, domains, subdomains and networks in one form, IDN as A-labels, everything else refused', () => {
  const good: [string, string][] = [
    ['Ann@Example.ORG', 'ann@example.org'],
    ['Example.ORG.', 'example.org'],
    ['.Bücher.example', '.xn--bcher-kva.example'],
    ['ann@bücher.example', 'ann@xn--bcher-kva.example'],
    ['192.0.2.9/24', '192.0.2.0/24'],
    ['2001:DB8::/32', '2001:db8::/32'],
  ];
  for (const [given, wanted] of good) assert.equal(normalizePattern(given), wanted);
  for (const bad of [
    '',
    '*',
    '*.example.org',
    'localhost',
    'a b@example.org',
    '192.0.2',
    '10.0.0.0/99',
    '@',
    '.',
    'x'.repeat(500),
  ]) {
    assert.throws(() => normalizePattern(bad), fails('invalid_input', /neither|too long/), bad);
  }
});

test('all four scopes reach a recipient, and networks stay out of what matches senders', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const found = await db.system((tx) => resolveRecipient(tx, 'ann@acme.example', 0));
  assert.ok(found.kind === 'known');
  const { mailboxId } = found.recipient;
  const actor = 'test';
  await db.tenant(partner.id, async (tx) => {
    await addListEntry(tx, { clientId, mailboxId, kind: 'allow', pattern: 'a.example', actor });
    await addListEntry(tx, { clientId, mailboxId: null, kind: 'allow', pattern: 'b.example', actor });
    await addListEntry(tx, { clientId: null, mailboxId: null, kind: 'block', pattern: 'c.example', actor });
    await addListEntry(tx, { clientId: null, mailboxId: null, kind: 'block', pattern: '192.0.2.0/24', actor });
    await assert.rejects(
      addListEntry(tx, { clientId, mailboxId: null, kind: 'block', pattern: '192.0.2.0/24', actor }),
      fails('invalid_input', /only the scopes partner and master/),
    );
  });
  const [made] = (await db.system((tx) => addMasterEntries(tx, [{ kind: 'block', pattern: '.D.example' }]))).entries;
  const [context] = await db.system((tx) => recipientContexts(tx, [found.recipient]));
  assert.deepEqual(
    context?.lists.map((one) => `${one.scope} ${one.kind} ${one.pattern}`),
    ['mailbox allow a.example', 'client allow b.example', 'partner block c.example', 'master block .d.example'],
  );
  const tenant = await db.tenant(partner.id, (tx) => listEntries(tx, clientId));
  assert.ok(
    tenant.every((one) => one.scope !== 'master'),
    'a tenant sees nothing of the operator',
  );
  await assert.rejects(
    db.tenant(partner.id, (tx) => tx.rows({ name: 'look', text: 'select * from master_list_entries', values: [] })),
    /permission denied/,
  );
  assert.equal(await db.system((tx) => removeMasterEntry(tx, made?.id ?? '')), true);
  assert.deepEqual(await db.system((tx) => masterEntries(tx)), []);
});

test('an import is all or nothing, names the line, and repeated changes nothing', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const bring = (csv: string) =>
    db.tenant(partner.id, (tx) => importListLines(tx, clientId, readListCsv(`kind,pattern,mailbox\n${csv}`), 'test'));
  const file = 'allow,a.example,\nblock,Evil@B.example,ANN@acme.example\nallow,a.example,\n';
  assert.deepEqual(await bring(file), { created: 2, unchanged: 1 });
  assert.deepEqual(await bring(file), { created: 0, unchanged: 3 });
  await assert.rejects(bring('allow,c.example,\nallow,not a pattern,\n'), fails('invalid_input', /^line 3: .*neither/));
  await assert.rejects(bring('allow,c.example,zoe@acme.example\n'), fails('invalid_input', /^line 2: .*no mailbox/));
  assert.throws(() => readListCsv('kind,pattern\nperhaps,a.example\n'), fails('invalid_input', /^line 2: kind/));
  assert.throws(() => readListCsv('kind,pattern\nallow\n'), fails('invalid_input', /not CSV/));
  assert.equal((await owner.query('select from list_entries')).rowCount, 2);
  const other = await seedPartner(db, 'Other');
  await assert.rejects(
    db.tenant(other.id, (tx) => importListLines(tx, clientId, [], 'test')),
    fails('not_found', /no such client/),
  );
});

test('a scope has room for so many entries, also when two are added at once', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const lines = (count: number, name: string) =>
    Array.from({ length: count }, (_, index) => ({
      kind: 'block' as const,
      pattern: `${name}${index}.example`,
      mailbox: 'ann@acme.example',
    }));
  const bring = (count: number, name: string) =>
    db.tenant(partner.id, (tx) => importListLines(tx, clientId, lines(count, name), 'test'));
  const room = LIST_LIMITS.mailbox;
  await assert.rejects(bring(room + 1, 'a'), fails('limit_exceeded', /at most 500/));
  const answers = await Promise.allSettled([bring(room - 1, 'b'), bring(room - 1, 'c')]);
  assert.deepEqual(answers.map((one) => one.status).sort(), ['fulfilled', 'rejected']);
  await bring(1, 'd');
  await assert.rejects(bring(1, 'e'), fails('limit_exceeded', /at most 500/));
  assert.equal((await owner.query('select from list_entries')).rowCount, room);
});

test('the command line adds, shows and removes in every scope', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const context = { store: { db } as Store } as CommandContext;
  const run = async (name: string, values: Record<string, string>, ...rest: string[]) => {
    const command = listCommands.find((one) => one.name === name);
    assert.ok(command);
    return (await command.run(context, values, rest)).output;
  };
  const scopes: Record<string, string>[] = [
    { scope: 'master' },
    { scope: 'partner', partner: partner.id },
    { scope: 'client', client: clientId },
    { scope: 'mailbox', client: clientId, mailbox: 'Ann@acme.example' },
  ];
  for (const [index, whose] of scopes.entries()) {
    const added = await run('list add', { ...whose, kind: 'block' }, `s${index}.example`);
    assert.equal(added['scope'], whose['scope']);
    const { entries } = (await run('list show', whose)) as { entries: { id: string; pattern: string }[] };
    assert.deepEqual(
      entries.map((one) => one.pattern),
      [`s${index}.example`],
    );
    assert.deepEqual(await run('list remove', { ...whose, entry: String(added['id']) }), { removed: true });
    await assert.rejects(run('list remove', { ...whose, entry: String(added['id']) }), fails('not_found', /no such/));
  }
  await assert.rejects(
    run('list add', { scope: 'world', kind: 'block' }, 'a.example'),
    fails('invalid_input', /scope/),
  );
});

test('allow and block of one sender set at once leave one of the two', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner);
  const entry = { clientId, mailboxId: null, pattern: 'eve@far.example', actor: 'test' };
  const late = afterFirstRead();
  const allow = db.tenant(partner, (tx) => setListEntry(late.slow(tx), { ...entry, kind: 'allow' }));
  await late.reached;
  const block = db.tenant(partner, (tx) => setListEntry(tx, { ...entry, kind: 'block' }));
  // Without a lock it is through by now; with one it waits for the first.
  const waits = async () => {
    const { rowCount } = await owner.query("select from pg_locks where locktype = 'advisory' and not granted");
    return rowCount === 1;
  };
  let isThrough = false;
  void block.finally(() => (isThrough = true));
  while (!isThrough && !(await waits()));
  late.go();
  await Promise.all([allow, block]);
  assert.equal((await db.tenant(partner, (tx) => listEntries(tx, clientId))).length, 1);
});
