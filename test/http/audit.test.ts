import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';
import { openDatabase } from '../support/db.ts';
import { openServer } from '../support/http.ts';
import { seedPartner } from '../support/seed.ts';

test('every audit of GraphQL over HTTP passes, with documents cold and compiled', async (t) => {
  const { db, clock } = await openDatabase(t);
  const { apiKey } = await seedPartner(db);
  const server = await openServer(t, { db, clock });
  const fetchFn = (input: string | URL | Request, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${apiKey}`);
    return fetch(input, { ...init, headers });
  };
  for (const round of ['cold', 'warm', 'compiled']) {
    const faults: string[] = [];
    const audits = serverAudits({ url: `${server.url}/graphql`, fetchFn });
    assert.equal(audits.length, 61);
    for (const audit of audits) {
      const result = await audit.fn();
      if (result.status !== 'ok') faults.push(`${audit.id} ${audit.name}: ${result.status} ${result.reason}`);
    }
    assert.deepEqual(faults, [], round);
  }
});
