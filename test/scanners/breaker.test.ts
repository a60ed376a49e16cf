import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OutsideScanner, ScanResult } from '../../src/core/filter.ts';
import { silentLogger } from '../../src/core/log.ts';
import { ScannerResting, withBreaker } from '../../src/scanners/breaker.ts';
import { taskOf } from './support.ts';

const CLEAN: ScanResult = { verdict: null, score: 0, reasons: [] };

function rig() {
  const state = { now: 0, asked: 0, answer: async (): Promise<ScanResult> => CLEAN };
  const scanner: OutsideScanner = {
    name: 'clamav',
    scan: () => {
      state.asked += 1;
      return state.answer();
    },
  };
  const options = { failures: 3, pauseMs: 1_000, monotonic: () => state.now, logger: silentLogger };
  return { state, scanner: withBreaker(scanner, options) };
}

const down = () => Promise.reject(new Error('refused'));

test('after three failures in a row nobody asks until the pause is over, then one tries', async (t) => {
  const { state, scanner } = rig();
  const task = taskOf(t, 'x');
  const { signal } = new AbortController();
  state.answer = down;
  for (let count = 0; count < 3; count += 1) await assert.rejects(scanner.scan(task, signal), /refused/);
  for (let count = 0; count < 10; count += 1) await assert.rejects(scanner.scan(task, signal), ScannerResting);
  assert.equal(state.asked, 3);

  state.now = 1_001;
  const first = scanner.scan(task, signal);
  await assert.rejects(scanner.scan(task, signal), ScannerResting);
  await assert.rejects(first, /refused/);
  await assert.rejects(scanner.scan(task, signal), ScannerResting);
  assert.equal(state.asked, 4);

  state.now = 2_100;
  state.answer = async () => CLEAN;
  assert.deepEqual(await scanner.scan(task, signal), CLEAN);
  assert.deepEqual(await scanner.scan(task, signal), CLEAN);
  assert.equal(state.asked, 6);
});

test('failures that are not in a row, and senders that go away, do not stop the asking; deadlines do', async (t) => {
  const { state, scanner } = rig();
  const task = taskOf(t, 'x');
  const { signal } = new AbortController();
  for (let count = 0; count < 6; count += 1) {
    state.answer = count % 3 === 2 ? async () => CLEAN : down;
    await scanner.scan(task, signal).catch(() => undefined);
  }
  assert.equal(state.asked, 6);
  state.answer = down;
  for (let count = 0; count < 5; count += 1) await assert.rejects(scanner.scan(task, AbortSignal.abort()), /refused/);
  assert.equal(state.asked, 11);
  const late = AbortSignal.abort(new DOMException('late', 'TimeoutError'));
  for (let count = 0; count < 5; count += 1) await assert.rejects(scanner.scan(task, late));
  assert.equal(state.asked, 14);
});
