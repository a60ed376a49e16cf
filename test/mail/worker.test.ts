import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import type { AuthenticationResult, ParsedMail } from '../../src/mail/types.ts';
import { EICAR, withPart } from './support/samples.ts';
import { makeZip } from './support/zip.ts';

test('everything runs in a worker thread, and its results cross to the main thread', async () => {
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { parseMail } = await import(new URL('../../src/mail/parse.js', workerData.base));
    const { authenticate } = await import(new URL('../../src/mail/authentication.js', workerData.base));
    const { zoneResolver } = await import(new URL('../../src/mail/resolver.js', workerData.base));
    const message = Buffer.from(workerData.message);
    const mail = await parseMail(message);
    const input = { ip: '192.0.2.1', helo: 'a.example', sender: 'ann@sender.example', mta: 'mx.us.example' };
    const zone = zoneResolver({ '_dmarc.sender.example': { TXT: ['v=DMARC1; p=none'] } });
    parentPort.postMessage({ mail, authentication: await authenticate(message, input, zone) });`;
  const attached = ['Content-Type: application/zip; name="a.zip"', 'Content-Transfer-Encoding: base64'];
  const message = withPart(attached, makeZip([{ name: 'e.txt', content: EICAR }]));
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { message, base: import.meta.url },
    resourceLimits: { maxOldGenerationSizeMb: 128 },
  });
  const [result] = (await once(worker, 'message')) as [{ mail: ParsedMail; authentication: AuthenticationResult }];
  await worker.terminate();
  assert.equal(result.mail.attachments[0]?.inspection.eicar, true);
  assert.equal(result.mail.date instanceof Date, true);
  assert.equal(result.authentication.dmarc.result, 'fail');
});
