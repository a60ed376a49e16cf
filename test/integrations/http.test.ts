import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backoffMs, retryAfterMs } from '../../integrations/backoff.ts';
import { Gate, type GateLimits, Gates } from '../../integrations/gate.ts';
import { checkUrl, guardedLookup, isPublicAddress } from '../../integrations/guard.ts';
import { cut, oneLine, redactor } from '../../integrations/redact.ts';
import { AppError } from '../../src/core/errors.ts';

const NOW = new Date('2026-10-14T09:30:00Z');

test('Retry-After is read as seconds and as a date; nonsense is none', () => {
  assert.equal(retryAfterMs('30', NOW), 30_000);
  assert.equal(retryAfterMs(' 0 ', NOW), 0);
  assert.equal(retryAfterMs('Wed, 14 Oct 2026 09:31:00 GMT', NOW), 60_000);
  assert.equal(retryAfterMs('Wed, 14 Oct 2026 09:00:00 GMT', NOW), 0);
  assert.equal(retryAfterMs('999999999', NOW), 86_400_000);
  for (const text of [undefined, '', '-5', '1.5', 'soon', 'NaN', '1e9']) {
    assert.equal(retryAfterMs(text, NOW), null, String(text));
  }
});

test('back-off grows, is never nothing and never more than 8 s', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
      const ms = backoffMs(attempt, () => random);
      assert.ok(ms >= 250 && ms <= 8_000);
    }),
  );
});

test('texts are cut by code point and never longer than the limit', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.integer({ min: 1, max: 120 }), (text, max) => {
      const kept = cut(text, max);
      assert.ok(kept.length <= max);
      assert.ok(kept.isWellFormed());
      if (text.length <= max) assert.equal(kept, text);
      else assert.ok(kept.endsWith('…') && text.startsWith(kept.slice(0, -1)));
    }),
  );
});

test('secrets leave a text in every form that a PSA may echo', () => {
  const secret = 'p"ss w+rd/=ü';
  const redact = redactor([secret, 'abc']);
  const forms = [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64'),
    JSON.stringify({ secret }),
  ].join(' ');
  const clean = redact(forms);
  assert.ok(
    !clean.includes('w+rd') && !clean.includes('w%2Brd') && !clean.includes(Buffer.from(secret).toString('base64')),
  );
  assert.equal(redact('abc'), 'abc');
  assert.equal(oneLine(`a\r\nb\u202e\u0000 ${secret}`, redact), 'a b [redacted]');
});

test('only addresses of the public internet are public', () => {
  for (const address of ['8.8.8.8', '2606:4700::1111']) assert.ok(isPublicAddress(address), address);
  const others =
    '127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 224.0.0.1 192.0.2.1 ' +
    '::1 :: ::ffff:127.0.0.1 ::127.0.0.1 fe80::1 fc00::1 ff02::1 64:ff9b::7f00:1 2001:db8::1 nonsense';
  for (const address of others.split(' ')) assert.ok(!isPublicAddress(address), address);
});

test('a name is looked up once, and a private answer is no answer', async () => {
  const answers = [
    { address: '10.0.0.5', family: 4 },
    { address: '8.8.8.8', family: 4 },
  ];
  let calls = 0;
  const resolve = ((_host: string, _options: object, done: (e: null, a: typeof answers) => void) => {
    calls += 1;
    done(null, answers);
  }) as unknown as NonNullable<Parameters<typeof guardedLookup>[1]>;
  const ask = (allow: readonly string[], all: boolean) =>
    new Promise<unknown>((done) => {
      guardedLookup({ allowPrivateHosts: allow }, resolve)('psa.example', { all }, (error, address) =>
        done(error ?? address),
      );
    });
  assert.equal(await ask([], false), '8.8.8.8');
  assert.deepEqual(await ask([], true), [answers[1]]);
  assert.deepEqual(await ask(['psa.example'], true), answers);
  assert.equal(calls, 3);
  answers.pop();
  assert.equal(((await ask([], false)) as NodeJS.ErrnoException).code, 'EPRIVATE');
  assert.equal(checkUrl('https://psa.example/x', { allowPrivateHosts: [] }).hostname, 'psa.example');
});

const LIMITS: GateLimits = {
  perEndpoint: 2,
  total: 3,
  budget: { requests: 100, windowMs: 3_600_000 },
  failures: 3,
  openMs: 30_000,
};

test('a gate lets two pass per endpoint and three in all; a full endpoint does not hold up another', async () => {
  const gate = new Gate(LIMITS, () => 0);
  const entered: string[] = [];
  const enter = async (name: string) => {
    const leave = await gate.enter(name.slice(0, 1));
    entered.push(name);
    return leave;
  };
  const a1 = await enter('a1');
  await enter('a2');
  const a3 = enter('a3');
  const b1 = await enter('b1');
  const b2 = enter('b2');
  assert.deepEqual(entered, ['a1', 'a2', 'b1']);
  b1();
  b1();
  (await b2)();
  a1();
  (await a3)();
  assert.deepEqual(entered, ['a1', 'a2', 'b1', 'b2', 'a3']);
});

test('a gate slows at 50 and 75 % of the budget and stops at 90 %, counting what others used', async () => {
  let now = 0;
  const gate = new Gate(LIMITS, () => now);
  const send = async (count: number) => {
    for (let n = 0; n < count; n += 1) (await gate.enter('x'))();
  };
  await send(49);
  assert.equal(gate.pauseMs(), 0);
  await send(1);
  assert.equal(gate.pauseMs(), 500);
  gate.observe(80);
  assert.equal(gate.pauseMs(), 2_000);
  gate.check();
  await send(10);
  assert.throws(
    () => gate.check(),
    (error: unknown) => error instanceof AppError && error.code === 'unavailable',
  );
  now += 3_600_001;
  gate.check();
  assert.equal(gate.pauseMs(), 0);
});

test('a circuit opens after failures in a row, lets one request try, and closes after a success', async () => {
  let now = 0;
  const gate = new Gate(LIMITS, () => now);
  gate.failed();
  gate.failed();
  gate.succeeded();
  gate.failed();
  gate.failed();
  gate.check();
  gate.failed();
  assert.throws(() => gate.check());
  now += 30_000;
  gate.check();
  const leave = await gate.enter('x');
  assert.throws(() => gate.check());
  gate.failed();
  leave();
  assert.throws(() => gate.check());
  now += 30_000;
  gate.check();
  (await gate.enter('x'))();
  gate.succeeded();
  gate.check();
});

test('what stands in line when the circuit opens is not sent', async () => {
  const gate = new Gate({ ...LIMITS, total: 1 }, () => 0);
  const leave = await gate.enter('x');
  const waiting = [gate.enter('x'), gate.enter('x')];
  for (let n = 0; n < 3; n += 1) gate.failed();
  leave();
  for (const one of waiting) {
    await assert.rejects(one, (error: unknown) => error instanceof AppError && error.code === 'unavailable');
  }
});

test('gates are one per account', () => {
  const gates = new Gates();
  assert.equal(
    gates.get('a', LIMITS, () => 0),
    gates.get('a', LIMITS, () => 0),
  );
  assert.notEqual(
    gates.get('a', LIMITS, () => 0),
    gates.get('b', LIMITS, () => 0),
  );
});
