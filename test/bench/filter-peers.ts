import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Scored, type Summary, summary } from './filter-score.ts';

type Input = { readonly file: string; readonly isSpam: boolean };
type Peer = Omit<Summary, 'messages'> | { readonly skipped: string };

/** SpamAssassin and rspamd on the same files, local rules only, when they are installed. */
export async function peers(inputs: readonly Input[]): Promise<Readonly<Record<string, Peer>>> {
  return {
    spamassassin: await ask('/usr/bin/spamassassin', ['-L', '-t'], /^X-Spam-Status:[^\n]*score=(-?[\d.]+)/m, 5, inputs),
    rspamd: await ask('/usr/bin/rspamc', [], /^Score: (-?[\d.]+)/m, 6, inputs),
  };
}

async function ask(
  program: string,
  args: readonly string[],
  pattern: RegExp,
  threshold: number,
  inputs: readonly Input[],
): Promise<Peer> {
  if (!existsSync(program)) return { skipped: `${program} is not installed` };
  const scored: Scored[] = [];
  for (const { file, isSpam } of inputs) {
    const match = pattern.exec(await output(program, args, await readFile(file)));
    if (match?.[1] === undefined) return { skipped: `${program} gave no score for ${file}` };
    const score = Number(match[1]);
    scored.push({ file, isSpam, score, isCaught: score >= threshold, codes: [] });
  }
  const { messages: _, ...figures } = summary(scored);
  return figures;
}

function output(program: string, args: readonly string[], input: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
