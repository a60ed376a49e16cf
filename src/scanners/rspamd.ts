import { createReadStream } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { z } from 'zod';
import { printable } from '../core/address.ts';
import type { OutsideScanner, ScanResult, ScanTask } from '../core/filter.ts';

/** What rspamd can give and take at most: half of the usual threshold, so that it supports other evidence. */
export const RSPAMD_POINTS = Object.freeze({ most: 3, least: -1 });

const ANSWER_MAX = 1024 * 1024;
const RECIPIENTS_MAX = 100;
const SYMBOLS_MAX = 8;

const answerSchema = z.object({
  is_skipped: z.boolean().optional(),
  score: z.number(),
  required_score: z.number(),
  symbols: z.record(z.string(), z.unknown()).optional(),
});

/**
 * rspamd by HTTP, `POST /checkv2` (https://rspamd.com/doc/developers/protocol.html) with what is known of the connection. Its
 * score, measured by its own threshold, becomes points within RSPAMD_POINTS; the heaviest symbols are the detail. Its
 * actions are not taken over: what is done is the client's policy. An answer that is no such JSON rejects.
 */
export function rspamdScanner(base: string): OutsideScanner {
  const url = new URL('checkv2', base.endsWith('/') ? base : `${base}/`);
  return {
    name: 'rspamd',
    async scan(task, signal) {
      return resultOf(await ask(url, task, signal));
    },
  };
}

function ask(url: URL, task: ScanTask, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(url, { method: 'POST', headers: headersOf(url, task), signal, agent: false });
    request.on('error', reject);
    request.on('response', (response) => {
      // What is left of the message is of no use to a server that has answered.
      read(response)
        .then(resolve, reject)
        .finally(() => request.destroy());
    });
    const file = createReadStream(task.path);
    file.on('error', (error) => {
      request.destroy();
      reject(error);
    });
    request.on('close', () => file.destroy());
    file.pipe(request);
  });
}

async function read(response: IncomingMessage): Promise<string> {
  if (response.statusCode !== 200) throw new Error(`rspamd answered ${response.statusCode}`);
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > ANSWER_MAX) throw new Error('the answer of rspamd is too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function headersOf(url: URL, { envelope, recipients, bytes }: ScanTask): string[] {
  const pairs: [string, string][] = [
    ['Host', url.host],
    ['Content-Length', String(bytes)],
    ['Content-Type', 'message/rfc822'],
    ['IP', envelope.remoteAddress],
    ['Helo', envelope.helo],
    ['From', envelope.sender],
    ...recipients.slice(0, RECIPIENTS_MAX).map((one): [string, string] => ['Rcpt', one]),
  ];
  if (envelope.remoteName !== null) pairs.push(['Hostname', envelope.remoteName]);
  if (envelope.authenticatedAs !== null) pairs.push(['User', envelope.authenticatedAs]);
  return pairs.flatMap(([name, value]) => [name, headerSafe(value)]);
}

/** Of printable ASCII only: the peer chose HELO and sender, and a header must stay one. Other characters go as UTF-8 octets. */
function headerSafe(value: string): string {
  return Buffer.from(value.replace(/[\p{Cc}\u2028\u2029]/gu, ''), 'utf8')
    .toString('latin1')
    .slice(0, 1_000);
}

function resultOf(text: string): ScanResult {
  const answer = answerSchema.parse(JSON.parse(text));
  // rspamd 3.4 says `is_skipped` of the GTUBE test too, with the score of a rejection: what has a score was looked at.
  if (answer.is_skipped === true && answer.score <= 0) {
    return { verdict: null, score: 0, reasons: [{ code: 'scanner.skipped', detail: 'rspamd' }] };
  }
  const { most, least } = RSPAMD_POINTS;
  const required = answer.required_score > 0 ? answer.required_score : 15;
  const score = Math.round(100 * Math.max(least, Math.min(most, (most * answer.score) / required))) / 100;
  const detail = [`${answer.score.toFixed(1)} of ${required.toFixed(1)}`, ...heaviest(answer.symbols ?? {})].join(' ');
  const code = score >= 0 ? 'scanner.rspamd' : 'scanner.rspamd_ham';
  return { verdict: null, score, reasons: score === 0 ? [] : [{ code, detail: printable(detail, 200) }] };
}

/** Names of the symbols with the largest scores, either way. */
function heaviest(symbols: Readonly<Record<string, unknown>>): string[] {
  const scored = Object.entries(symbols).map(([name, value]) => {
    const score = (value as { score?: unknown } | null)?.score;
    return { name, weight: typeof score === 'number' && Number.isFinite(score) ? Math.abs(score) : 0 };
  });
  return scored
    .filter(({ name, weight }) => weight > 0 && /^\w{1,80}$/.test(name))
    .toSorted((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
    .slice(0, SYMBOLS_MAX)
    .map(({ name }) => name);
}
