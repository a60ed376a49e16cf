import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../src/core/log.ts';
import { sweepDigests } from '../../src/digest/sweep.ts';
import { hold, openDigests } from '../support/digests.ts';

const CHILD = fileURLToPath(new URL('../support/digest-child.js', import.meta.url));
const ROUNDS = 16;

test('digest twice or never: kill -9 anywhere in a sweep, then another sweep: each mailbox has its digest once per slot', async (t) => {
  const rig = await openDigests(t);
  let killed = 0;
  let day = Date.parse('2026-10-15T07:00:00Z');
  const slots: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const mailboxId of [rig.ann, rig.bob]) {
      await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId, at: new Date(day - 3_600_000) });
    }
    const now = new Date(day);
    slots.push(now.toISOString());
    const child = spawn(process.execPath, [CHILD, rig.ownerUrl, rig.folder, now.toISOString()], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    await once(child.stdout, 'data');
    const swept = once(child.stdout, 'data').then(() => 'swept');
    child.stdin.write('go\n');
    // Spread over the sweep, from its first statement to after its end.
    const wait = new Promise((resolve) => setTimeout(resolve, round * 8, 'killed'));
    if ((await Promise.race([swept, wait])) === 'killed') killed += 1;
    child.kill('SIGKILL');
    await exit;
    rig.clock.set(now);
    await sweepDigests({ ...rig.deps, logger: silentLogger });
    day += new Date(day + 86_400_000).getUTCDay() === 6 ? 3 * 86_400_000 : 86_400_000;
    if (day > Date.parse('2026-10-25T00:00:00Z') && new Date(day).getUTCHours() === 7) day += 3_600_000;
  }
  await rig.delivery.drainOnce();
  assert.ok(killed > 0, 'some sweeps were killed');
  const seen = rig.sink.mail.map(({ to, body }) => `${to[0]} ${/^Message-ID: .*\.(\d+)@/m.exec(body)?.[1]}`).sort();
  const wanted = slots.flatMap((slot) => ['ann', 'bob'].map((who) => `${who}@acme.example ${Date.parse(slot)}`)).sort();
  assert.deepEqual(seen, wanted);
});
