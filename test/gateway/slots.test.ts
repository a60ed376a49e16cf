import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slots } from '../../src/gateway/slots.ts';

/** Tasks that end when they are told to; `running` are the names of those under way, in the order of their start. */
function table(options: { concurrency: number; perLane: number; perDestination?: number }) {
  const running: string[] = [];
  const ends = new Map<string, () => void>();
  const wants: boolean[] = [];
  const slots = new Slots({
    concurrency: options.concurrency,
    perLane: options.perLane,
    limitOf: () => options.perDestination ?? 100,
    onFree: (one) => wants.push(one),
  });
  const added: Promise<void>[] = [];
  const add = (lane: string, destination: string, count: number) => {
    for (let n = 0; n < count; n += 1) {
      const name = `${lane}-${destination}-${n}`;
      const run = () => {
        running.push(name);
        return new Promise<void>((resolve, reject) => {
          ends.set(name, n % 2 === 0 ? resolve : () => reject(new Error('a task that fails')));
        });
      };
      added.push(slots.add({ lane, domain: destination, destination, rows: 1, run }));
    }
    slots.pump();
  };
  const end = async (name: string) => {
    running.splice(running.indexOf(name), 1);
    ends.get(name)?.();
    await new Promise<void>((resolve) => setImmediate(resolve));
  };
  const of = (lane: string) => running.filter((name) => name.startsWith(lane)).length;
  return { slots, add, end, running, of, wants, added };
}

test('a flood holds its share of the slots and the next client starts at once', () => {
  const { add, of, slots } = table({ concurrency: 100, perLane: 10 });
  add('flood', 'a.example', 1000);
  assert.equal(of('flood'), 10);
  add('other', 'b.example', 1);
  assert.equal(of('other'), 1);
  assert.equal(slots.free, 89);
});

test('a few slow clients never hold all slots, and one that comes free goes to a newcomer first', async () => {
  const { add, of, slots, end } = table({ concurrency: 20, perLane: 8 });
  for (let lane = 0; lane < 5; lane += 1) add(`slow${lane}.`, 'x', 50);
  assert.ok(slots.free >= 3, `${slots.free} free`);
  for (let lane = 0; lane < 3; lane += 1) add(`new${lane}.`, 'y', 50);
  assert.deepEqual([of('new0.'), of('new1.'), of('new2.'), slots.free], [1, 1, 1, 0]);
  add('late', 'z', 1);
  const before = of('slow0.');
  await end('slow0.-x-0');
  assert.equal(of('late'), 1);
  assert.equal(of('slow0.'), before - 1);
});

test('a slow destination holds its bound only, and the other mail of its client flows', () => {
  const { add, of } = table({ concurrency: 20, perLane: 8, perDestination: 3 });
  add('acme-slow', 'slow.example', 100);
  assert.equal(of('acme-slow'), 3);
  const two = table({ concurrency: 20, perLane: 8, perDestination: 3 });
  two.add('acme', 'slow.example', 100);
  two.add('acme', 'fast.example', 2);
  assert.equal(two.of('acme-slow'), 3);
  assert.equal(two.of('acme-fast'), 2);
  // One destination of two clients is one destination.
  two.add('zen', 'slow.example', 5);
  assert.equal(two.of('zen'), 0);
  assert.ok(two.slots.isDestinationFull('slow.example'));
});

test('lanes and destinations take turns; a task that fails gives its slot back', async () => {
  const { add, end, running, slots, wants, added } = table({ concurrency: 2, perLane: 1 });
  add('a', 'x', 3);
  add('a', 'y', 1);
  add('b', 'x', 2);
  const order: string[] = [];
  while (running[0] !== undefined) {
    order.push(running[0]);
    await end(running[0]);
  }
  assert.deepEqual(order, ['a-x-0', 'b-x-0', 'a-x-1', 'b-x-1', 'a-y-0', 'a-x-2']);
  await Promise.all(added);
  await slots.idle();
  assert.equal(slots.free, 2);
  assert.deepEqual(slots.lanes(), []);
  assert.ok(wants.includes(true), 'an empty lane asks for more');
});

test('a lane asks for no more rows while it has some that can start', async () => {
  const { add, end, slots } = table({ concurrency: 8, perLane: 2, perDestination: 1 });
  assert.equal(slots.isLaneFull('a', 10), false);
  add('a', 'x', 3);
  // One runs, two wait for their destination, which says nothing about the lane's other mail.
  assert.equal(slots.isLaneFull('a', 10), false);
  assert.deepEqual(slots.domains('a'), ['x']);
  assert.equal(slots.isLaneFull('a', 2), true, 'but it holds no more rows than its bound');
  add('a', 'y', 2);
  assert.equal(slots.isLaneFull('a', 10), true, 'it has its share');
  await end('a-y-0');
  await end('a-y-1');
  assert.equal(slots.isLaneFull('a', 10), false);
});
