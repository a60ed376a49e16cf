import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addListEntry, addMasterEntries, removeListEntry } from '../../src/accounts/lists.ts';
import { openRig, Talker } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const CHILD = fileURLToPath(new URL('../support/gateway-child.js', import.meta.url));
const ANN = 'ann@acme.example';

/** A gateway process of its own, with a spool of its own. */
async function startNode(rig: Awaited<ReturnType<typeof openRig>>, name: string): Promise<number> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-spool-'));
  const child: ChildProcess = spawn(process.execPath, [CHILD, rig.ownerUrl, folder, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  rig.before(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    await rm(folder, { recursive: true, force: true });
  });
  assert.ok(child.stdout);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return Number((JSON.parse(line.toString()) as { smtp: string }).smtp.split(':').at(-1));
}

test('user, partner and master lists agree on every gateway, also on one that lost its ear', async (t) => {
  const rig = await openRig(t);
  // The nodes' clock is the real one.
  rig.clock.set(new Date());
  const partner = await seedPartner(rig.db);
  const clientId = await seedClient(rig.db, partner.id);
  const [one, two] = [await startNode(rig, 'one'), await startNode(rig, 'two')];
  let sent = 0;
  const dispositionAt = async (port: number): Promise<string> => {
    const client = await Talker.open(port);
    sent += 1;
    const last = (await client.send('eve@evil.example', [ANN], `Subject: ${sent}\r\n\r\nx\r\n`)).at(-1) ?? '';
    client.close();
    const id = /Accepted as (\S+)/.exec(last)?.[1];
    assert.ok(id !== undefined, last);
    const { rows } = await rig.owner.query(
      `select d.disposition from deliveries d join messages m on m.partner_id = d.partner_id and m.id = d.message_id
       where m.content_id = $1`,
      [id],
    );
    return rows[0]?.disposition === 'quarantined' ? 'quarantined' : 'taken';
  };
  /** Asks until the gateway does as wanted; the runner's time for a file is the limit. */
  const comesTo = async (port: number, wanted: string) => {
    while ((await dispositionAt(port)) !== wanted);
  };
  for (const port of [one, two]) assert.equal(await dispositionAt(port), 'taken');

  // Every ear of every node is cut: the connections that LISTEN are gone for a second, and so is what is said meanwhile.
  const cut = await rig.owner.query(`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query = 'listen "tollgate_directory"'`);
  assert.ok((cut.rowCount ?? 0) >= 2, 'both nodes listened');
  const entry = await rig.db.tenant(partner.id, (tx) =>
    addListEntry(tx, { clientId, mailboxId: null, kind: 'block', pattern: 'evil.example', actor: 'test' }),
  );
  for (const port of [one, two]) await comesTo(port, 'quarantined');
  await rig.db.tenant(partner.id, (tx) => removeListEntry(tx, entry.id, 'test'));
  for (const port of [one, two]) await comesTo(port, 'taken');
  await rig.db.system((tx) => addMasterEntries(tx, [{ kind: 'block', pattern: 'evil.example' }]));
  for (const port of [one, two]) await comesTo(port, 'quarantined');

  // A mailbox that is deleted is refused on both, a new one is taken at once.
  await rig.owner.query(`update mailboxes set status = 'deleted' where address = $1`, [ANN]);
  for (const port of [one, two]) {
    const client = await Talker.open(port);
    await client.say('MAIL FROM:<x@far.example>');
    while (!(await client.say(`RCPT TO:<${ANN}>`)).startsWith('550 5.1.1'));
    client.close();
  }
  await rig.owner.query(`update mailboxes set status = 'active' where address = $1`, [ANN]);
  for (const port of [one, two]) {
    const client = await Talker.open(port);
    await client.say('MAIL FROM:<x@far.example>');
    assert.match(await client.say(`RCPT TO:<${ANN}>`), /^250/);
    client.close();
  }
});
