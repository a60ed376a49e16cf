import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A server that takes mail for acme.example on 127.0.0.1. */
export interface Server {
  readonly port: number;
  close(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** Waits for a greeting. Answers false when there is none in ten seconds. */
async function greets(port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('data', () => {
        socket.end('QUIT\r\n');
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (isThere) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

/** Postfix with a configuration and a queue of its own; what it takes is held. A text: why it cannot be. */
export async function openPostfix(): Promise<Server | string> {
  if (!existsSync('/usr/sbin/postfix')) return 'Postfix is not installed (apt-get install postfix)';
  if (process.getuid?.() !== 0) return 'Postfix needs root for its own instance';
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-bench-postfix-'));
  await chmod(folder, 0o755);
  const [config, queue, data] = ['etc', 'queue', 'data'].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const one of [config, queue, data]) await mkdir(one);
  spawnSync('chown', ['postfix', data]);
  const port = await freePort();
  await writeFile(
    path.join(config, 'main.cf'),
    [
      'compatibility_level = 3.6',
      `queue_directory = ${queue}`,
      `data_directory = ${data}`,
      'mail_owner = postfix',
      'setgid_group = postdrop',
      'myhostname = bench.example',
      'mydestination =',
      'inet_interfaces = 127.0.0.1',
      'inet_protocols = ipv4',
      'mynetworks = 127.0.0.0/8',
      'smtpd_recipient_restrictions = static:HOLD, permit_mynetworks, reject',
      'smtpd_relay_restrictions = permit_mynetworks, reject',
      'smtpd_client_connection_count_limit = 0',
      'smtpd_error_sleep_time = 0',
      'default_process_limit = 250',
      'message_size_limit = 50000000',
      'maillog_file = /dev/null',
      'maillog_file_prefixes = /dev',
      '',
    ].join('\n'),
  );
  await writeFile(
    path.join(config, 'master.cf'),
    [
      `127.0.0.1:${port} inet n - n - 250 smtpd`,
      'pickup unix n - n 60 1 pickup',
      'cleanup unix n - n - 0 cleanup',
      'qmgr unix n - n 300 1 qmgr',
      'rewrite unix - - n - - trivial-rewrite',
      'bounce unix - - n - 0 bounce',
      'defer unix - - n - 0 bounce',
      'trace unix - - n - 0 bounce',
      'proxymap unix - - n - - proxymap',
      'anvil unix - - n - 1 anvil',
      'error unix - - n - - error',
      'showq unix n - n - - showq',
      'postlog unix-dgram n - n - 1 postlogd',
      '',
    ].join('\n'),
  );
  const run = (command: string) => spawnSync('/usr/sbin/postfix', ['-c', config, command], { encoding: 'utf8' });
  const started = run('start');
  const close = async () => {
    run('stop');
    await rm(folder, { recursive: true, force: true });
  };
  if (started.status === 0 && (await greets(port))) return { port, close };
  await close();
  return `Postfix did not start: ${started.stderr.trim().slice(0, 200)}`;
}

/** Haraka where Node finds it, or in the folder HARAKA_HOME; it takes mail and throws it away. A text: why it cannot be. */
export async function openHaraka(): Promise<Server | string> {
  const program = harakaProgram();
  if (program === null) return 'Haraka is not installed (npm i Haraka somewhere, HARAKA_HOME=that folder)';
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-bench-haraka-'));
  await mkdir(path.join(folder, 'config'));
  const port = await freePort();
  const files = {
    'smtp.ini': `listen=127.0.0.1:${port}\nnodes=0\n`,
    plugins: 'rcpt_to.in_host_list\nqueue/discard\n',
    host_list: 'acme.example\n',
    me: 'bench.example\n',
    loglevel: 'LOGERROR\n',
    'log.ini': 'level=error\n',
    databytes: '50000000\n',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, 'config', name), text);
  const child: ChildProcess = spawn(process.execPath, [program, '-c', folder], {
    stdio: 'ignore',
    env: { ...process.env, YES_REALLY_DO_DISCARD: '1' },
  });
  const close = async () => {
    const ended = child.exitCode === null ? once(child, 'exit') : null;
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  if (await greets(port)) return { port, close };
  await close();
  return 'Haraka did not start';
}

function harakaProgram(): string | null {
  const home = process.env['HARAKA_HOME'];
  const from = createRequire(home === undefined ? import.meta.url : path.join(home, 'x.js'));
  try {
    return path.join(path.dirname(from.resolve('Haraka/package.json')), 'bin', 'haraka');
  } catch {
    return null;
  }
}
