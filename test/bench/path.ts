import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Talker } from '../gateway/support/rig.ts';
import { corpusMail } from '../support/corpus.ts';
import { Child } from './process.ts';
import type { Bench, PeerFigure } from './row.ts';

const MESSAGES = 1_500;
const SESSIONS = 10;

/** As it goes over the wire, without the final dot. */
function wire(raw: Buffer): string {
  const text = raw.toString('latin1').replace(/\r/g, '').replace(/\n?$/, '\n');
  return text.replace(/^\./gm, '..').replace(/\n/g, '\r\n');
}

/**
 * The whole way of real mail: accept, authenticate against a resolver that knows no name, read, score, decide, commit, and
 * deliver to a sink. The clock stops when the queue is empty.
 */
export const benchPath: Bench = async () => {
  // Every fourth of the corpus: ham and spam as they are mixed there.
  const raws = [...corpusMail()]
    .filter((_, index) => index % 4 === 0)
    .slice(0, MESSAGES)
    .map((one) => one.raw);
  const sink = await Child.start('sink');
  const gateway = await Child.start('whole', { relayPort: sink.ports[0] });
  const refused = await send(gateway.ports[0] ?? 0, raws.slice(0, 100).map(wire));
  await untilEmpty(gateway.child);
  const before = (await gateway.child.ask('cpu')) as NodeJS.CpuUsage;
  const start = performance.now();
  const left = await send(gateway.ports[0] ?? 0, raws.map(wire));
  await untilEmpty(gateway.child);
  const seconds = (performance.now() - start) / 1000;
  const after = (await gateway.child.ask('cpu')) as NodeJS.CpuUsage;
  const cpuMs = (after.user + after.system - before.user - before.system) / 1000;
  const taken = (await sink.child.ask('taken')) as number;
  await gateway.child.stop();
  await sink.child.stop();
  const peers = await scanners(raws);
  const accepted = raws.length - left;
  const what = `whole path, ${accepted} of the SpamAssassin corpus (${taken} delivered, ${left + refused} refused)`;
  return [
    { bench: 'path', measured: what, unit: 'msg/s', ours: accepted / seconds, peers },
    {
      bench: 'path',
      measured: 'CPU of the gateway process, whole path',
      unit: 'ms/msg',
      ours: cpuMs / accepted,
      peers: [],
    },
  ];
};

/** Answers how many were not taken. */
async function send(port: number, bodies: readonly string[]): Promise<number> {
  let next = 0;
  let refused = 0;
  const session = async () => {
    const client = await Talker.open(port);
    for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) {
      const replies = await client.send('someone@sender.example', ['ann@acme.example'], body);
      if (replies.at(-1)?.startsWith('250') !== true) refused += 1;
    }
    client.close();
  };
  await Promise.all(Array.from({ length: SESSIONS }, session));
  return refused;
}

async function untilEmpty(gateway: Child): Promise<void> {
  while (((await gateway.ask('queued')) as number) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** What the well-known scanners do with the same files, scanning only. */
async function scanners(raws: readonly Buffer[]): Promise<PeerFigure[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-bench-corpus-'));
  try {
    const files = await Promise.all(
      raws.map(async (raw, index) => {
        const file = path.join(folder, `${index}.eml`);
        await writeFile(file, raw);
        return file;
      }),
    );
    return [await rspamd(files), await spamAssassin(files)];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function rspamd(files: readonly string[]): Promise<PeerFigure> {
  const name = 'rspamd, scan only';
  if (!existsSync('/usr/bin/rspamc')) return { name, value: null, skipped: 'rspamd is not installed' };
  const seconds = await timed('/usr/bin/rspamc', ['-n', '4', ...files]);
  return seconds === null
    ? { name, value: null, skipped: 'rspamd does not answer (is its service running?)' }
    : { name, value: files.length / seconds };
}

async function spamAssassin(files: readonly string[]): Promise<PeerFigure> {
  const name = 'SpamAssassin, scan only, local rules';
  if (!existsSync('/usr/bin/spamassassin')) return { name, value: null, skipped: 'SpamAssassin is not installed' };
  // One process for all files; a part of them, as it takes 60 ms for each.
  const some = files.slice(0, 200);
  const seconds = await timed('/usr/bin/spamassassin', ['-L', '-t', ...some]);
  return seconds === null
    ? { name, value: null, skipped: 'spamassassin failed' }
    : { name, value: some.length / seconds };
}

function timed(program: string, args: readonly string[]): Promise<number | null> {
  const start = performance.now();
  return new Promise((resolve) => {
    const child: ChildProcess = spawn(program, args, { stdio: 'ignore' });
    child.on('error', () => resolve(null));
    child.on('close', (code) => resolve(code === 0 ? (performance.now() - start) / 1000 : null));
  });
}
