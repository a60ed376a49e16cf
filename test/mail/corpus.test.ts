import assert from 'node:assert/strict';
import test from 'node:test';
import { MailFormatError, normalizeMessage } from '../../src/mail/lines.ts';
import { parseMail } from '../../src/mail/parse.ts';
import { corpusSample } from './support/samples.ts';

test('300 real messages are read without a failure', async () => {
  const sample = corpusSample(300);
  assert.equal(sample.length, 300);
  let withText = 0;
  let refused = 0;
  const strange: string[] = [];
  for (const { name, message } of sample) {
    const mail = await parseMail(message);
    if (mail.text !== '' || mail.htmlText !== '' || mail.attachments.length > 0) withText += 1;
    if (mail.attachments.some((file) => file.inspection.eicar)) strange.push(name);
    try {
      normalizeMessage(message);
    } catch (error) {
      assert.ok(error instanceof MailFormatError, name);
      refused += 1;
    }
  }
  assert.deepEqual(strange, []);
  assert.ok(withText >= 298, `${withText} of 300 have content`);
  assert.ok(refused <= 6, `${refused} of 300 were refused for their line ends`);
});
