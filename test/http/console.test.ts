import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROWSER_MS, openBrowser } from '../support/browser.ts';
import { openDatabase } from '../support/db.ts';
import { openServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('the console asks with a key and shows the schema, from files of ours alone', async (t) => {
  const { db, clock, before } = await openDatabase(t);
  const partner = await seedPartner(db, 'Northwind IT');
  await seedClient(db, partner.id, { name: 'Acme' });
  const server = await openServer(t, { db, clock });
  before(() => server.http.close(0));
  const browser = await openBrowser(t);
  const page = await browser.newPage();
  page.setDefaultTimeout(BROWSER_MS);
  const asked: string[] = [];
  const faults: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('console', (message) => (message.type() === 'error' ? faults.push(message.text()) : undefined));
  page.on('pageerror', (error) => faults.push(error.message));

  const response = await page.goto(`${server.url}/graphiql`);
  const policy = response?.headers()['content-security-policy'] ?? '';
  assert.match(policy, /default-src 'none'; script-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|https?:/);
  await page.getByLabel('API key').fill(partner.apiKey);
  await page.getByLabel('API key').blur();
  await page.getByText('mailboxes(first: Int!, after: String): MailboxConnection!').waitFor({ state: 'attached' });
  await page.getByRole('button', { name: /Run/ }).click();
  await page.getByText(/^200 in \d+ ms$/).waitFor();
  assert.match(await page.getByLabel('Answer').inputValue(), /"name": "Acme"/);
  // A subscription is listened to until the next run.
  await page.getByLabel('Query').fill('subscription { traffic { day { totals { deliveries } } } }');
  await page.getByRole('button', { name: /Run/ }).click();
  await page.getByText('Listening, 1 answers').waitFor();
  assert.match(await page.getByLabel('Answer').inputValue(), /"deliveries": 0/);
  await page.getByLabel('Query').fill('subscription { nothing }');
  await page.getByRole('button', { name: /Run/ }).click();
  await page.getByText(/^200$/).waitFor();
  assert.match(await page.getByLabel('Answer').inputValue(), /GRAPHQL_VALIDATION_FAILED/);
  await page.getByLabel('Variables (JSON)').fill('{');
  await page.getByRole('button', { name: /Run/ }).click();
  await page.getByText(/The variables are not JSON/).waitFor();
  const stored = await page.evaluate('JSON.stringify(localStorage)');
  assert.doesNotMatch(String(stored), /tg_live/, 'the key does not outlive the tab');
  for (const url of asked) assert.ok(url.startsWith(server.url), url);
  assert.deepEqual(
    faults.filter((text) => !text.includes('favicon')),
    [],
  );
});
