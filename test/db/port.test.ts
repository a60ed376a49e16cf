import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort, outgoingRange } from '../../src/db/port.ts';

test("a database's port is none that an outgoing connection could be given while the database is away", async () => {
  const end = await outgoingRange();
  for (let round = 0; round < 20; round += 1) {
    const port = await freePort();
    assert.ok(end < 16_000 || (port >= 1024 && port < end), `${port}, outgoing from ${end}`);
  }
});
