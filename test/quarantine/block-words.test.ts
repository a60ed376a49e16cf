import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldWords, reasonWords } from '../../src/quarantine/words.ts';

test('what a block list holds is said to be blocked, by whose list, and not to be spam', () => {
  const listed = [{ code: 'list.block', detail: 'bob@far.example (mailbox)' }];
  assert.equal(heldWords('spam', listed), 'Blocked');
  assert.deepEqual(reasonWords(listed), ["bob@far.example is on this mailbox's block list"]);
  assert.equal(heldWords('spam', []), 'Spam');
  assert.equal(heldWords('malware', listed), 'It holds a harmful program');
});

test('people are told no weights and no odds', () => {
  assert.deepEqual(
    reasonWords([
      { code: 'content.spam', detail: 'log-odds 4.6' },
      { code: 'connection.listed', detail: 'zen.example' },
    ]),
    [
      'The words and the shape of the message are those of spam',
      'DNS block lists name the sending address: zen.example',
    ],
  );
});
