import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Talker } from '../gateway/support/rig.ts';

export interface Load {
  readonly sessions: number;
  readonly messages: number;
  readonly bytes: number;
  /** Sessions keep their connection; else each message has its own. */
  readonly kept: boolean;
}

const SMTP_SOURCE = '/usr/sbin/smtp-source';
const FROM = 'a@b.example';
const TO = 'ann@acme.example';

/** The load generator: Postfix's, which is in C, or our own client where that is not installed. */
export const loader = existsSync(SMTP_SOURCE) ? 'smtp-source' : 'own client';

/** Messages per second that were answered 250. Throws when one was not. */
export async function acceptRate(port: number, load: Load): Promise<number> {
  const start = performance.now();
  if (loader === 'smtp-source') await smtpSource(port, load);
  else await ownClient(port, load);
  return load.messages / ((performance.now() - start) / 1000);
}

function smtpSource(port: number, load: Load): Promise<void> {
  const args = ['-s', `${load.sessions}`, '-m', `${load.messages}`, '-l', `${load.bytes}`, '-f', FROM, '-t', TO];
  if (load.kept) args.push('-d');
  return new Promise((resolve, reject) => {
    const child = spawn(SMTP_SOURCE, [...args, `127.0.0.1:${port}`], { stdio: ['ignore', 'ignore', 'pipe'] });
    const errors: Buffer[] = [];
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`smtp-source: ${Buffer.concat(errors).toString().trim()}`)),
    );
  });
}

async function ownClient(port: number, load: Load): Promise<void> {
  const body = `Subject: bench\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(Math.ceil(load.bytes / 78))}`;
  let left = load.messages;
  const session = async () => {
    let client: Talker | null = null;
    while (left > 0) {
      left -= 1;
      client ??= await Talker.open(port);
      const replies = await client.send(FROM, [TO], body);
      if (!replies.at(-1)?.startsWith('250')) throw new Error(`not accepted: ${replies.at(-1)}`);
      if (load.kept) continue;
      client.close();
      client = null;
    }
    client?.close();
  };
  await Promise.all(Array.from({ length: load.sessions }, session));
}
