import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { connectPsa } from '../../integrations/index.ts';
import { AppError, type ErrorCode } from '../../src/core/errors.ts';
import { PSA_KINDS } from '../../src/core/psa.ts';
import { Limits } from '../support/limits.ts';
import { bench, ticketInput } from './harness.ts';

const failsWith = (code: ErrorCode) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

for (const kind of PSA_KINDS) {
  describe(`the PSA port, ${kind}`, () => {
    test('check names what was found', async (t) => {
      const { psa } = await bench(t, kind);
      const found = await psa.check();
      assert.match(found.version, /\d/);
      assert.ok(found.notes.length > 0);
    });

    test('companies are found by a part of their name, in any case, and by id', async (t) => {
      const b = await bench(t, kind);
      const acme = b.addCompany('Acme Corporation');
      b.addCompany('Globex');
      const found = await b.psa.findCompanies('acme');
      assert.deepEqual(found, [{ id: acme, name: 'Acme Corporation', active: true }]);
      assert.deepEqual(await b.psa.getCompany(acme), { id: acme, name: 'Acme Corporation', active: true });
      assert.equal(await b.psa.getCompany('999999999'), null);
      assert.equal(await b.psa.getCompany('1/../2'), null);
    });

    test('all of 1,200 companies are listed, each once', async (t) => {
      const b = await bench(t, kind);
      for (let n = 0; n < 1200; n += 1) b.addCompany(`Client ${n}`);
      const found = await b.psa.findCompanies('');
      assert.equal(found.length, 1200);
      assert.equal(new Set(found.map((company) => company.id)).size, 1200);
    });

    test('renamed and inactive companies show as they are', async (t) => {
      const b = await bench(t, kind);
      const id = b.addCompany('Old name');
      b.sandbox.state.renameCompany(Number(id), 'New name');
      b.sandbox.state.deactivateCompany(Number(id));
      assert.deepEqual(await b.psa.getCompany(id), { id, name: 'New name', active: false });
      await assert.rejects(b.psa.createTicket(ticketInput(id)), failsWith('upstream_rejected'));
    });

    test('a deleted company is not active', async (t) => {
      const b = await bench(t, kind);
      const id = b.addCompany('Gone');
      b.sandbox.state.deleteCompany(Number(id));
      assert.notEqual((await b.psa.getCompany(id))?.active, true);
      assert.deepEqual(await b.psa.findCompanies('Gone'), []);
    });

    test('a name is never a filter', async (t) => {
      const b = await bench(t, kind);
      b.addCompany('Innocent');
      const strange = b.addCompany('O"Neil \\ 100% * Söhne 漢字');
      for (const text of ['" or id > 0 or name = "', '\\" or id > 0 or name = \\"', '%', '*', '"', '\\']) {
        const found = await b.psa.findCompanies(text);
        assert.ok(
          found.every((company) => company.name.toLowerCase().includes(text.toLowerCase())),
          text,
        );
      }
      assert.deepEqual(
        (await b.psa.findCompanies('O"Neil \\ 100% * Söhne 漢字')).map((c) => c.id),
        [strange],
      );
    });

    test('any text as a name or a key finds only what holds it, and never fails', async (t) => {
      const b = await bench(t, kind);
      b.addCompany('Innocent');
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 24 }), async (text) => {
          const found = await b.psa.findCompanies(text);
          assert.ok(found.every((company) => company.name.toLowerCase().includes(text.toLowerCase())));
          assert.deepEqual(await b.psa.findTickets(text), []);
          b.clock.advance(60_000);
        }),
        { numRuns: 60 },
      );
    });

    test('a ticket is made, found by its key, and read', async (t) => {
      const b = await bench(t, kind);
      const company = b.addCompany('Acme');
      const input = ticketInput(company);
      const made = await b.psa.createTicket(input);
      assert.equal(made.key, input.key);
      assert.equal(made.companyId, company);
      assert.equal(made.title, input.title);
      assert.equal(made.open, true);
      if (kind === 'autotask') assert.match(made.number, /^T\d{8}\.\d{4}$/);
      assert.deepEqual(await b.psa.findTickets(input.key), [made]);
      assert.deepEqual(await b.psa.getTicket(made.id), made);
      assert.deepEqual(await b.psa.findTickets(`${input.key}x`), []);
      assert.deepEqual(await b.psa.findTickets(''), []);
    });

    test('two tickets with one key come newest first', async (t) => {
      const b = await bench(t, kind);
      const input = ticketInput(b.addCompany('Acme'));
      const first = await b.psa.createTicket(input);
      const second = await b.psa.createTicket(input);
      assert.deepEqual(
        (await b.psa.findTickets(input.key)).map((ticket) => ticket.id),
        [second.id, first.id],
      );
    });

    test('a key with quotes and wildcards is found exactly', async (t) => {
      const b = await bench(t, kind);
      const company = b.addCompany('Acme');
      await b.psa.createTicket(ticketInput(company, { key: 'abc' }));
      const key = 'a"b\\c or 1=1 *';
      const made = await b.psa.createTicket(ticketInput(company, { key }));
      assert.deepEqual(await b.psa.findTickets(key), [made]);
      assert.deepEqual(await b.psa.findTickets('a*'), []);
      assert.deepEqual(await b.psa.findTickets('" or id > 0 or externalXRef = "'), []);
    });

    test('a long title is cut by code point, and stands whole in the description', async (t) => {
      const b = await bench(t, kind);
      const title = `${'漢字😀'.repeat(80)} end`;
      const made = await b.psa.createTicket(ticketInput(b.addCompany('Acme'), { title }));
      const limit = kind === 'connectwise' ? 100 : 255;
      assert.ok(made.title.length <= limit && made.title.length >= limit - 1);
      assert.ok(made.title.endsWith('…'));
      assert.equal(made.title.isWellFormed(), true);
      const { sandbox } = b;
      const text =
        sandbox.kind === 'connectwise'
          ? (sandbox.state.notes.find((note) => note.ticketId === Number(made.id))?.text ?? '')
          : (sandbox.state.tickets.get(Number(made.id))?.description ?? '');
      assert.ok(text.startsWith(title));
    });

    test('every priority is one that the PSA knows', async (t) => {
      const b = await bench(t, kind);
      const company = b.addCompany('Acme');
      const found: unknown[] = [];
      for (const priority of ['low', 'normal', 'high', 'critical'] as const) {
        const { id } = await b.psa.createTicket(ticketInput(company, { priority }));
        const { sandbox } = b;
        found.push(
          sandbox.kind === 'connectwise'
            ? sandbox.state.tickets.get(Number(id))?.priority.id
            : sandbox.state.tickets.get(Number(id))?.priority,
        );
      }
      assert.deepEqual(found, kind === 'connectwise' ? [7, 8, 15, 6] : [3, 2, 1, 4]);
    });

    test('notes are internal or not', async (t) => {
      const b = await bench(t, kind);
      const { id } = await b.psa.createTicket(ticketInput(b.addCompany('Acme')));
      const before = b.notesOf(id).length;
      await b.psa.addNote(id, { title: 'Again', text: 'ünï ✓', internal: true });
      await b.psa.addNote(id, { title: 'Again', text: 'seen', internal: false });
      assert.deepEqual(
        b
          .notesOf(id)
          .slice(before)
          .map((note) => [note.text, note.internal]),
        [
          ['Again\n\nünï ✓', true],
          ['Again\n\nseen', false],
        ],
      );
      await assert.rejects(
        b.psa.addNote('999999', { title: 'a', text: 'b', internal: true }),
        failsWith('upstream_rejected'),
      );
    });

    test('resolving closes once, with the resolution', async (t) => {
      const b = await bench(t, kind);
      const { id } = await b.psa.createTicket(ticketInput(b.addCompany('Acme')));
      const closed = await b.psa.resolveTicket(id, 'The server accepts mail again.');
      assert.equal(closed.open, false);
      assert.equal((await b.psa.getTicket(id))?.open, false);
      const { sandbox } = b;
      if (sandbox.kind === 'connectwise') {
        assert.equal(sandbox.state.tickets.get(Number(id))?.status.name, 'Filed away');
        assert.deepEqual(
          b
            .notesOf(id)
            .filter((note) => note.resolution)
            .map((note) => note.text),
          ['The server accepts mail again.'],
        );
      } else {
        assert.equal(sandbox.state.tickets.get(Number(id))?.resolution, 'The server accepts mail again.');
      }
      const writes = () => sandbox.requests.filter((request) => request.method === 'PATCH').length;
      const count = writes();
      assert.equal((await b.psa.resolveTicket(id, 'again')).open, false);
      assert.equal(writes(), count);
      await assert.rejects(b.psa.resolveTicket('999999', 'x'), failsWith('upstream_rejected'));
    });

    test('a resolution whose answer was lost is not written twice', async (t) => {
      const b = await bench(t, kind);
      const { id } = await b.psa.createTicket(ticketInput(b.addCompany('Acme')));
      b.sandbox.faults.arm('drop_after_commit', {
        method: kind === 'connectwise' ? 'POST' : 'PATCH',
        path: /Tickets|notes/,
      });
      await assert.rejects(b.psa.resolveTicket(id, 'done'), failsWith('upstream_ambiguous'));
      assert.equal((await b.psa.resolveTicket(id, 'done')).open, false);
      assert.ok(b.notesOf(id).filter((note) => note.resolution).length <= 1);
    });

    test('a ticket that is deleted is null', async (t) => {
      const b = await bench(t, kind);
      const { id } = await b.psa.createTicket(ticketInput(b.addCompany('Acme')));
      b.sandbox.state.deleteTicket(Number(id));
      assert.equal(await b.psa.getTicket(id), null);
    });

    test('a create whose answer is lost is ambiguous and not sent again', async (t) => {
      const b = await bench(t, kind);
      const input = ticketInput(b.addCompany('Acme'));
      b.sandbox.faults.arm('drop_after_commit', { method: 'POST', path: /\/(tickets|Tickets)$/ });
      await assert.rejects(b.psa.createTicket(input), failsWith('upstream_ambiguous'));
      assert.equal(b.creates(), 1);
      assert.equal((await b.psa.findTickets(input.key)).length, 1);
    });

    test('a create that is cut before it, answered 502, 500, with HTML or half an answer is ambiguous too', async (t) => {
      const b = await bench(t, kind);
      const company = b.addCompany('Acme');
      let sent = 0;
      for (const fault of ['drop_before', 'html_502', 'error_500', 'html_200', 'truncated'] as const) {
        b.sandbox.faults.arm(fault, { method: 'POST', path: /\/(tickets|Tickets)$/ });
        await assert.rejects(b.psa.createTicket(ticketInput(company)), failsWith('upstream_ambiguous'), fault);
        sent += 1;
        assert.equal(b.creates(), sent, fault);
      }
    });

    test('a create that takes too long is ambiguous', async (t) => {
      const limits = new Limits();
      const b = await bench(t, kind, { later: limits.later });
      const input = ticketInput(b.addCompany('Acme'));
      b.sandbox.faults.arm('slow', { method: 'POST', path: /\/(tickets|Tickets)$/ });
      const failed = assert.rejects(b.psa.createTicket(input), failsWith('upstream_ambiguous'));
      while (b.creates() === 0) await new Promise((resolve) => setImmediate(resolve));
      limits.end();
      await failed;
      b.sandbox.faults.release();
      assert.equal(b.creates(), 1);
      assert.equal((await b.psa.findTickets(input.key)).length, 1);
    });

    test('a create that is throttled was not carried out, and is not sent again', async (t) => {
      const b = await bench(t, kind);
      b.sandbox.faults.arm('throttle', { method: 'POST', path: /\/(tickets|Tickets)$/, value: '37' });
      await assert.rejects(b.psa.createTicket(ticketInput(b.addCompany('Acme'))), (error: unknown) => {
        failsWith('unavailable')(error);
        assert.equal((error as AppError).retryAfter, 37);
        return true;
      });
      assert.equal(b.creates(), 1);
      assert.equal(b.ticketCount(), 0);
    });

    test('reads are repeated through faults that pass', async (t) => {
      const b = await bench(t, kind);
      const id = b.addCompany('Acme');
      await b.psa.getCompany(id);
      const path = new RegExp(`ompanies/${id}`);
      for (const fault of [
        'drop_before',
        'html_502',
        'error_500',
        'html_200',
        'truncated',
        'drop_after_commit',
      ] as const) {
        b.sandbox.faults.arm(fault, { path });
        assert.equal((await b.psa.getCompany(id))?.name, 'Acme', fault);
      }
      b.waits.length = 0;
      b.sandbox.faults.arm('throttle', { path, value: '7' });
      assert.equal((await b.psa.getCompany(id))?.name, 'Acme');
      assert.deepEqual(b.waits, [7_000]);
      b.waits.length = 0;
      b.sandbox.faults.arm('throttle', { path, value: new Date(b.clock.now().getTime() + 11_000).toUTCString() });
      assert.equal((await b.psa.getCompany(id))?.name, 'Acme');
      assert.equal(b.waits.length, 1);
      assert.ok((b.waits[0] ?? 0) >= 10_000 && (b.waits[0] ?? 0) <= 11_000);
    });

    test('a read in a storm of faults ends as unavailable, in a bounded time', async (t) => {
      const b = await bench(t, kind);
      const id = b.addCompany('Acme');
      await b.psa.getCompany(id);
      b.sandbox.faults.arm('throttle', { times: 100, value: '40' });
      await assert.rejects(b.psa.getCompany(id), failsWith('unavailable'));
      assert.ok(b.waits.reduce((sum, ms) => sum + ms, 0) <= 90_000);
    });

    test('a PSA that does not answer is left alone for a while, then tried again', async (t) => {
      const b = await bench(t, kind);
      const id = b.addCompany('Acme');
      await b.psa.getCompany(id);
      b.sandbox.faults.arm('html_502', { times: 1000 });
      for (let n = 0; n < 3; n += 1) await assert.rejects(b.psa.getCompany(id), failsWith('unavailable'));
      const asked = b.sandbox.requests.length;
      await assert.rejects(b.psa.getCompany(id), failsWith('unavailable'));
      assert.equal(b.sandbox.requests.length, asked);
      b.sandbox.faults.clear();
      b.clock.advance(31_000);
      assert.equal((await b.psa.getCompany(id))?.name, 'Acme');
    });

    test('a server that is not there is unavailable, for writes too', async (t) => {
      const b = await bench(t, kind);
      const company = b.addCompany('Acme');
      await b.psa.createTicket(ticketInput(company));
      await b.sandbox.close();
      await assert.rejects(b.psa.createTicket(ticketInput(company)), failsWith('unavailable'));
    });

    test('wrong credentials and missing rights have their own codes; no secret is in any text', async (t) => {
      const b = await bench(t, kind);
      const secrets = Object.entries(b.connection.credentials).filter(([name]) => name !== 'companyId');
      for (const [name] of secrets) {
        const wrong = `wrong-${name}-0123456789`;
        const psa = connectPsa(
          { ...b.connection, credentials: { ...b.connection.credentials, [name]: wrong } },
          b.deps,
        );
        await assert.rejects(psa.findCompanies('x'), (error: unknown) => {
          failsWith('unauthenticated')(error);
          assert.ok(!String(error).includes(wrong));
          return true;
        });
      }
      b.sandbox.faults.arm('forbidden', { path: /ompanies/ });
      await assert.rejects(b.psa.findCompanies('x'), failsWith('forbidden'));
      const all = b.logs.join('\n');
      for (const [, value] of secrets) assert.ok(!all.includes(value));
      assert.ok(b.logs.length > 0);
    });

    test('a redirect is not followed', async (t) => {
      const b = await bench(t, kind);
      const id = b.addCompany('Acme');
      await b.psa.getCompany(id);
      b.sandbox.faults.arm('redirect', { value: `${b.sandbox.url}/stolen` });
      await assert.rejects(b.psa.getCompany(id), failsWith('upstream_rejected'));
      assert.ok(!b.sandbox.requests.some((request) => request.path === '/stolen'));
    });

    test('private addresses and plain http need the list of exempt hosts', async (t) => {
      const b = await bench(t, kind);
      const strict = { ...b.deps, allowPrivateHosts: [] };
      const urls = [
        b.sandbox.url,
        'https://127.1/',
        'https://0x7f000001/',
        'https://[::ffff:127.0.0.1]/',
        'https://10.0.0.1',
        'https://169.254.169.254',
        'https://[::127.0.0.1]/',
        'http://na.myconnectwise.net',
        'https://a:b@example.com/',
        'file:///etc/passwd',
        'nonsense',
      ];
      for (const url of urls) {
        assert.throws(() => connectPsa({ ...b.connection, url }, strict), failsWith('invalid_input'), url);
      }
    });

    test('credentials and settings that cannot be are refused by name, without values', async (t) => {
      const b = await bench(t, kind);
      for (const change of [{ credentials: {} }, { settings: { bord: 1 } }]) {
        assert.throws(() => connectPsa({ ...b.connection, ...change }, b.deps), failsWith('config_invalid'));
      }
    });

    test('a document is attached to a company and listed, byte for byte', async (t) => {
      const b = await bench(t, kind);
      const company = b.addCompany('Acme');
      const data = Buffer.from('%PDF-1.7 \x00\xff\r\n--boundary\r\n', 'latin1');
      const document = {
        title: 'Überblick "Oktober" 2026',
        fileName: 'report-2026-10.pdf',
        contentType: 'application/pdf',
        data,
      };
      const made = await b.psa.attachToCompany(company, document);
      assert.equal(made.bytes, data.length);
      assert.deepEqual(await b.psa.listCompanyDocuments(company), [
        { id: made.id, title: document.title, fileName: document.fileName, bytes: data.length },
      ]);
      const { sandbox } = b;
      const kept =
        sandbox.kind === 'connectwise'
          ? sandbox.state.documents.get(Number(made.id))?.data
          : Buffer.from(sandbox.state.attachments.get(Number(made.id))?.data ?? '', 'base64');
      assert.deepEqual(kept, data);
      await assert.rejects(b.psa.attachToCompany('999999', document), failsWith('upstream_rejected'));
      assert.deepEqual(await b.psa.listCompanyDocuments('not a number'), []);
    });

    test('subscriptions carry units, unit price and status', async (t) => {
      const b = await bench(t, kind);
      const company = b.addCompany('Acme');
      const ref = b.addSubscription(company, { quantity: 40, unitPrice: 2.5 });
      b.addSubscription(company, { quantity: 5, cancelled: true });
      b.addSubscription(company, { quantity: 6, startDate: '2026-01-01', endDate: '2026-08-31' });
      b.addSubscription(company, { quantity: 7, startDate: '2027-01-01' });
      const other = b.addSubscription(b.addCompany('Globex'));
      const lines = await b.psa.listSubscriptions(company);
      assert.deepEqual(lines.map((line) => line.status).sort(), ['active', 'cancelled', 'expired', 'pending']);
      assert.ok(!lines.some((line) => line.ref.lineId === other.lineId));
      const line = lines.find((candidate) => candidate.ref.lineId === ref.lineId);
      assert.deepEqual(
        [line?.quantity, line?.unitPrice, line?.companyId, line?.name],
        [40, '2.50', company, 'Mail security'],
      );
      assert.deepEqual(await b.psa.readSubscription(ref, '2026-10-14'), line);
      assert.equal(await b.psa.readSubscription({ ...ref, lineId: other.lineId }, '2026-10-14'), null);
      assert.equal(await b.psa.readSubscription({ contractId: '1', lineId: '1' }, '2026-10-14'), null);
    });

    test('a quantity is written from its effective date on, and read back', async (t) => {
      const b = await bench(t, kind);
      const ref = b.addSubscription(b.addCompany('Acme'), { quantity: 40 });
      const line = await b.psa.readSubscription(ref, '2026-10-14');
      const effectiveDate = line?.earliestEffectiveDate ?? '';
      assert.equal(effectiveDate, kind === 'connectwise' ? '2026-10-14' : '2026-11-01');
      await b.psa.writeQuantity(ref, { before: 40, target: 43, effectiveDate });
      const after = await b.psa.readSubscription(ref, effectiveDate);
      assert.deepEqual([after?.quantity, after?.unitPrice, after?.status], [43, '2.50', 'active']);
      if (kind === 'autotask') assert.equal((await b.psa.readSubscription(ref, '2026-10-31'))?.quantity, 40);
      await b.psa.writeQuantity(ref, { before: 43, target: 41, effectiveDate });
      assert.equal((await b.psa.readSubscription(ref, effectiveDate))?.quantity, 41);
    });

    test('a quantity whose answer is lost is ambiguous, sent once, and shows when it is read', async (t) => {
      const b = await bench(t, kind);
      const ref = b.addSubscription(b.addCompany('Acme'), { quantity: 10 });
      const effectiveDate = (await b.psa.readSubscription(ref, '2026-10-14'))?.earliestEffectiveDate ?? '';
      const path = /additions\/|ServiceAdjustments/;
      const method = kind === 'connectwise' ? 'PATCH' : 'POST';
      b.sandbox.faults.arm('drop_after_commit', { path, method });
      await assert.rejects(
        b.psa.writeQuantity(ref, { before: 10, target: 12, effectiveDate }),
        failsWith('upstream_ambiguous'),
      );
      assert.equal(b.sandbox.requests.filter((r) => r.method === method && path.test(r.path)).length, 1);
      assert.equal((await b.psa.readSubscription(ref, effectiveDate))?.quantity, 12);
    });

    test('quantities that no line can hold are not sent', async (t) => {
      const b = await bench(t, kind);
      const ref = b.addSubscription(b.addCompany('Acme'));
      const good = { before: 10, target: 11, effectiveDate: '2026-10-14' };
      const count = b.sandbox.requests.length;
      for (const change of [
        { target: -1 },
        { target: 1.5 },
        { target: Number.NaN },
        { before: Number.NaN },
        { effectiveDate: 'tomorrow' },
        { effectiveDate: '2026-13-40' },
      ]) {
        await assert.rejects(b.psa.writeQuantity(ref, { ...good, ...change }), failsWith('invalid_input'));
      }
      assert.equal(b.sandbox.requests.length, count);
    });

    test('a failed read of a quantity throws, it is never a number', async (t) => {
      const b = await bench(t, kind);
      const ref = b.addSubscription(b.addCompany('Acme'), { quantity: 10 });
      await b.psa.readSubscription(ref, '2026-10-14');
      for (const fault of ['html_200', 'error_500', 'truncated'] as const) {
        b.sandbox.faults.clear();
        b.clock.advance(120_000);
        b.sandbox.faults.arm(fault, { times: 50, path: /additions|ContractServiceUnits/ });
        await assert.rejects(b.psa.readSubscription(ref, '2026-10-14'), failsWith('unavailable'), fault);
      }
    });
  });
}
