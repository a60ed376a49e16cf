import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

interface Ran {
  readonly code: number;
  readonly out: Record<string, unknown>;
  readonly err: string;
}

/** The program as people start it: its own home, nothing shared with other tests. */
function program(home: string) {
  const env = {
    PATH: process.env['PATH'] ?? '',
    TOLLGATE_HOME: home,
    HTTP_PORT: '0',
    SMTP_PORT: '0',
    SUBMISSION_PORT: '0',
    TOLLGATE_SCAN_THREADS: '1',
    TOLLGATE_NODE: 'n1',
  };
  return {
    serve: (): ChildProcess => spawn(process.execPath, [MAIN, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] }),
    run: (...args: string[]): Promise<Ran> =>
      new Promise((resolve) => {
        execFile(
          process.execPath,
          [MAIN, ...args, ...(args[0] === 'serve' ? [] : ['--json'])],
          { env },
          (error, stdout, stderr) => {
            const code = error === null ? 0 : Number(error.code);
            resolve({ code, out: stdout.trim() === '' ? {} : JSON.parse(stdout), err: stderr });
          },
        );
      }),
  };
}

async function ready(service: ChildProcess): Promise<{ http: string; smtp: string; submission: string }> {
  assert.ok(service.stdout !== null);
  for await (const line of createInterface(service.stdout)) {
    if (line.startsWith('{"ready":true')) return JSON.parse(line);
  }
  throw new Error('the service ended before it was ready');
}

test('the command line beside the running service and without it', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-cli-'));
  const tollgate = program(home);
  const service = tollgate.serve();
  t.after(async () => {
    if (service.exitCode === null && service.signalCode === null) {
      service.kill('SIGINT');
      await once(service, 'exit');
    }
    await rm(home, { recursive: true, force: true });
  });
  const { http } = await ready(service);

  // The same folder again: it would be the same node, and stop this one's database.
  const second = await tollgate.run('serve');
  assert.equal(second.code, 78);
  assert.match(second.err, new RegExp(`another Tollgate serves from this folder \\(pid ${service.pid}\\)`));

  const partner = (await tollgate.run('partner', 'create', '--name', 'Northwind IT')).out as {
    id: string;
    apiKey: string;
  };
  assert.match(partner.apiKey, /^tg_live_/);
  const made = await tollgate.run(
    ...['client', 'create', '--partner', partner.id, '--name', 'Acme', '--zone', 'Europe/London'],
    ...['--domain', 'acme.example', '--relay', '127.0.0.1:2626'],
  );
  // A private address that the settings do not allow: made, with a word at once.
  assert.deepEqual([made.code, Object.keys(made.out)], [0, ['id', 'warnings']]);
  assert.match(made.err, /^tollgate: warning: mail will wait: 127\.0\.0\.1 .* TOLLGATE_ALLOW_PRIVATE_HOSTS/m);
  const client = String(made.out['id']);
  const file = path.join(home, 'mailboxes.csv');
  await writeFile(file, 'address,name,kind\nann@acme.example,Ann,user\nbob@acme.example,Bob,shared\n');
  assert.deepEqual((await tollgate.run('mailbox', 'import', '--client', client, file)).out, {
    created: 2,
    updated: 0,
    unchanged: 0,
  });
  assert.deepEqual((await tollgate.run('mailbox', 'import', '--client', client, file)).out, {
    created: 0,
    updated: 0,
    unchanged: 2,
  });

  // The service sees it at once.
  const answer = await fetch(`${http}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${partner.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ clients(first: 5) { edges { node { name timeZone } } } }' }),
  });
  const { data } = (await answer.json()) as { data: unknown };
  assert.deepEqual(data, { clients: { edges: [{ node: { name: 'Acme', timeZone: 'Europe/London' } }] } });

  const pdf = path.join(home, 'report.pdf');
  const report = await tollgate.run(
    ...['report', 'render', '--client', client, '--report', 'executive-summary', '--period', '2026-10', '--out', pdf],
  );
  assert.equal(report.code, 0, report.err);
  assert.equal((await readFile(pdf)).subarray(0, 5).toString(), '%PDF-');

  const created = ['client', 'create', '--partner', partner.id, '--name', 'x', '--zone', 'Mars/Base'];
  assert.equal((await tollgate.run(...created)).code, 64);
  const wrong = await tollgate.run(...created, '--domain', 'x.example', '--relay', 'mail.x.example');
  assert.equal(wrong.code, 1);
  assert.doesNotMatch(wrong.err, /\n\s+at /, 'no stack for the wrong use of a command');
  const unknown = await tollgate.run('node', 'retire', '--node', 'n9');
  assert.equal(unknown.code, 1);
  assert.match(unknown.err, /there is no such node n9/);

  // Killed the hard way it is there again at once, on the database that it left running.
  service.kill('SIGKILL');
  await once(service, 'exit');
  const again = tollgate.serve();
  t.after(() => again.kill('SIGKILL'));
  await ready(again);
  again.kill('SIGINT');
  const [code] = (await once(again, 'exit')) as [number | null];
  assert.equal(code, 0);

  // Without the service a command starts the database itself, and ends it.
  const verified = await tollgate.run('verify');
  assert.deepEqual([verified.code, verified.out['differences']], [0, []]);
  assert.deepEqual((await tollgate.run('node', 'retire', '--node', 'n1')).out, { retired: true });
  await assert.rejects(readFile(path.join(home, 'postgres/data/postmaster.pid')), { code: 'ENOENT' });
});
