import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { Relay } from '../../src/gateway/relay.ts';
import { sendSecondChance } from '../../src/gateway/secondchance.ts';
import { openPicky } from './support/picky.ts';
import { openRig, Talker } from './support/rig.ts';
import { seedSubmitter } from './support/submitter.ts';

const parcel = {
  sender: 'ann@acme.example',
  recipients: ['bob@far.example'],
  bytes: 100,
  open: async () => Readable.from(['Subject: Hello\r\n\r\nHi\r\n']),
};

test('a server that takes its time after the final dot is waited for, on both ways', async (t) => {
  const sink = await openPicky(t, { contentMs: 4_000 });
  const to = { host: 'mx.far.example', address: '127.0.0.1', port: sink.port, tls: 'none' as const };
  const timeoutMs = 3_000;
  const relay = new Relay('mx.tollgate.example', timeoutMs);
  t.after(() => relay.close());
  const both = await Promise.all([
    relay.send(to, parcel),
    sendSecondChance({ hostName: 'mx.tollgate.example', source: null, timeoutMs }, to, parcel),
  ]);
  assert.deepEqual(
    both.map((one) => one.replies.get('bob@far.example')?.code),
    [250, 250],
  );
  assert.equal(sink.bodies.length, 2);
});

test('a server that is silent elsewhere is not', async (t) => {
  const sink = await openPicky(t, { answer: (line) => (line.startsWith('RCPT') ? '250-' : undefined) });
  const to = { host: 'mx.far.example', address: '127.0.0.1', port: sink.port, tls: 'none' as const };
  const relay = new Relay('mx.tollgate.example', 300);
  t.after(() => relay.close());
  assert.notEqual((await relay.send(to, parcel)).failure, null);
  assert.equal(sink.bodies.length, 0);
});

for (const [what, server, disposition] of [
  ['takes the message', { content: () => '250 2.0.0 taken as \0\ud800' }, 'delivered'],
  [
    'defers the recipient',
    { answer: (line: string) => (/^RCPT/.test(line) ? '450 4.2.0 l\0ter' : undefined) },
    'deferred',
  ],
  ['refuses with its greeting', { banner: '554 n\0' }, 'deferred'],
  ['refuses it on the second way too', { content: () => '554 5.6.0 line too long\0' }, 'bounced'],
] as const) {
  test(`a server whose reply holds a NUL, and ${what}: the outcome is recorded, once`, async (t) => {
    const sink = await openPicky(t, server);
    const rig = await openRig(t);
    await seedSubmitter(rig.db, sink.port);
    const client = await Talker.open(rig.smtp);
    assert.match((await client.send('bob@sender.example', ['ann@acme.example'])).at(-1) ?? '', /^250 2\.0\.0/);
    client.close();
    await rig.delivery.drainOnce();
    const { rows } = await rig.owner.query<{ disposition: string; reply: string; leased: number }>(`
      select disposition, remote_reply as reply, (select count(*)::int from queue where lease_owner is not null) as leased
      from deliveries`);
    assert.deepEqual([rows[0]?.disposition, rows[0]?.leased], [disposition, 0]);
    assert.doesNotMatch(rows[0]?.reply ?? '', /\0/);
  });
}
