import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pauseOf } from '../../src/gateway/backoff.ts';
import { EXPIRE_DAYS, expiryOf, HOLD_DAYS, isExpired, parkedDelay, retryDelay } from '../../src/gateway/retry.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test('the gaps between the tries of a row that its server refuses for now', () => {
  const gaps: readonly (readonly [tries: number, minutes: number])[] = [
    [1, 5],
    [2, 15],
    [3, 30],
    [4, 60],
    [5, 120],
    [6, 240],
    [7, 240],
    [50, 240],
  ];
  assert.deepEqual(
    gaps.map(([tries]) => [tries, retryDelay(tries) / MINUTE]),
    gaps,
  );
  // RFC 5321 section 4.5.4.1: two tries in the first hour, and 30 minutes between later ones.
  assert.ok(retryDelay(1) + retryDelay(2) <= HOUR);
});

test('the pauses of a parked destination: a client server to 5 minutes, the world to an hour', () => {
  const seconds = (key: string) => [1, 2, 3, 4, 5, 6, 7, 8, 60].map((failures) => pauseOf(key, failures) / 1000);
  assert.deepEqual(seconds('server mx.acme.example:25'), [15, 30, 60, 120, 240, 300, 300, 300, 300]);
  assert.deepEqual(seconds('domain far.example'), [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
});

test('five days for what is refused, `expires_at` for what waits for a client server that is down', () => {
  const queuedAt = new Date('2026-10-14T00:00:00Z');
  const at = (days: number) => new Date(queuedAt.getTime() + days * DAY);
  const row = { queuedAt, expiresAt: at(HOLD_DAYS) };
  assert.deepEqual([EXPIRE_DAYS, HOLD_DAYS], [5, 14]);
  const cases: readonly (readonly [days: number, held: boolean, expired: boolean])[] = [
    [4.999, false, false],
    [5, false, true],
    [5, true, false],
    [13.999, true, false],
    [14, true, true],
  ];
  for (const [days, held, expired] of cases) {
    assert.equal(isExpired(row, at(days), held), expired, `${days} days, ${held ? 'held' : 'refused'}`);
  }
  // The column is the truth: a row that is given less time ends earlier in both.
  const brief = { queuedAt, expiresAt: at(2) };
  assert.deepEqual([expiryOf(brief, true), expiryOf(brief, false)], [at(2), at(2)]);
});

test('rows that wait for a destination come due an hour or two later, spread over an hour', () => {
  assert.equal(parkedDelay('00000000-0000-7000-8000-000000000000'), HOUR);
  assert.ok(parkedDelay('00000000-0000-7000-8000-00000000ffff') < 2 * HOUR);
  assert.equal(parkedDelay('00000000-0000-7000-8000-000000008000'), 1.5 * HOUR);
});
