import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ArrivingContent } from '../../src/core/content.ts';
import type { Envelope } from '../../src/core/message.ts';
import type { Spool } from '../../src/gateway/index.ts';
import { Reply } from '../../src/gateway/replies.ts';
import { storeReport } from '../../src/gateway/report-mail.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { gate } from '../support/gate.ts';

const envelope: Envelope = {
  sender: 'a@reporter.example',
  remoteAddress: '192.0.2.1',
  remoteName: null,
  helo: 'mx.reporter.example',
  tls: false,
  direction: 'inbound',
  authenticatedAs: null,
  receivedAt: new Date('2026-10-14T09:30:00Z'),
  smtpUtf8: false,
};

function world(
  zone: Parameters<typeof zoneResolver>[0] = { 'reporter.example': { TXT: ['v=spf1 ip4:192.0.2.1 -all'] } },
) {
  const rows: (string | null)[] = [];
  const deps = {
    intake: {
      domain: 'reports.example',
      find: async () => null,
      store: async (mail: { authenticatedDomain: string | null }) => {
        rows.push(mail.authenticatedDomain);
      },
    },
    resolver: zoneResolver(zone),
    // A message that is held is not read from its place.
    spool: { placeOf: () => '/nowhere' } as unknown as Spool,
    hostName: 'mx.tollgate.example',
  };
  const take = (stored: Promise<void>) => {
    const message = Buffer.from('From: <a@reporter.example>\r\nSubject: x\r\n\r\nx\r\n');
    const content: ArrivingContent = { id: 'c1', bytes: message.length, sha256: '00', message, stored };
    const box = { partnerId: 'p', clientId: 'c', domain: 'acme.example' };
    return storeReport(deps, box, content, envelope, new AbortController().signal);
  };
  return { rows, take };
}

test('rule 1: a mail with a report has no row before its body is safe', async () => {
  const { rows, take } = world();
  const disk = gate();
  let isAnswered = false;
  const answer = take(disk.passed).then((text) => {
    isAnswered = true;
    return text;
  });
  await take(Promise.resolve());
  assert.deepEqual([rows, isAnswered], [['reporter.example'], false], 'the one whose body is safe, and only that');
  disk.open();
  assert.match(await answer, /^2\.0\.0 Accepted as c1/);
  assert.equal(rows.length, 2);
});

test('rule 1: a disk that fails leaves no row', async () => {
  const { rows, take } = world();
  const failed = Promise.reject(new Error('EIO'));
  failed.catch(() => undefined);
  await assert.rejects(take(failed), /EIO/);
  assert.deepEqual(rows, []);
});

test('a sender whose names are not answered is put off by a reply, after which no body stays', async () => {
  const { rows, take } = world({
    'reporter.example': { FAIL: ['ESERVFAIL'] },
    '_dmarc.reporter.example': { FAIL: ['ESERVFAIL'] },
  });
  await assert.rejects(
    take(Promise.resolve()),
    (error) => error instanceof Reply && /^4\.4\.3/.test(error.message) && error.responseCode === 451,
  );
  assert.deepEqual(rows, []);
});
