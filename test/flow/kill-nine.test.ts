import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openRig, openSink, Talker } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const CHILD = fileURLToPath(new URL('../support/gateway-child.js', import.meta.url));
const ROUNDS = 50;

test('kill -9 between DATA and 250: every message that was answered 250 is delivered as recorded', async (t) => {
  const sink = await openSink(t);
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  const answered: string[] = [];
  let next = 0;
  let heard: () => void = () => undefined;
  const answers = async (count: number) => {
    for (const wanted = answered.length + count; answered.length < wanted; ) {
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
    }
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    const child = spawn(process.execPath, [CHILD, rig.ownerUrl, rig.folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const where = JSON.parse(line.toString()) as { smtp: string };
    const port = Number(where.smtp.split(':').at(-1));
    const clients = await Promise.all(Array.from({ length: 4 }, () => Talker.open(port)));
    const senders = clients.map(async (client) => {
      while (!client.socket.destroyed) {
        const id = `m${next++}`;
        const replies = await client.send(
          'a@b.example',
          ['ann@acme.example', 'bob@acme.example'],
          `X-Id: ${id}\r\n\r\nx\r\n`,
        );
        if (replies.at(-1)?.startsWith('250 2.0.0 Accepted') === true) {
          answered.push(id);
          heard();
        }
      }
    });
    // In turn: right after a few answers, when the next transactions are anywhere between DATA and 250; and at points spread
    // over the life of the first transactions, answered or not.
    if (round % 2 === 0) await answers(round % 8 === 0 ? 6 : 3);
    else await new Promise((resolve) => setTimeout(resolve, 5 + ((round * 37) % 120)));
    child.kill('SIGKILL');
    await once(child, 'exit');
    await Promise.all(senders);
  }
  // The restart: leases of the dead process are taken back.
  await rig.owner.query('update queue set lease_owner = null, lease_until = null, due_at = $1', [new Date(0)]);
  rig.clock.set(new Date());
  await rig.delivery.drainOnce();
  const seen = new Set(sink.mail.flatMap((one) => one.to.map((to) => `${/^X-Id: (\S+)/m.exec(one.body)?.[1]} ${to}`)));
  const lost = answered
    .flatMap((id) => ['ann', 'bob'].map((who) => `${id} ${who}@acme.example`))
    .filter((one) => !seen.has(one));
  assert.ok(answered.length >= ROUNDS, `${answered.length} messages were answered`);
  assert.deepEqual(lost, []);
  const ends = await rig.owner.query(`
    select count(*)::int as deliveries, count(*) filter (where d.disposition = 'delivered')::int as delivered,
      (select count(*)::int from ledger where kind = 'accepted') as accepted,
      (select count(distinct delivery_id)::int from ledger where kind = 'delivered') as once,
      (select count(*)::int from ledger where kind = 'delivered') as events
    from deliveries d`);
  const { deliveries, delivered, accepted, once: ended, events } = ends.rows[0] ?? {};
  assert.deepEqual([delivered, accepted, ended, events], [deliveries, deliveries, deliveries, deliveries]);
  assert.ok(deliveries >= answered.length * 2);
});
