import { readFileSync, statSync } from 'node:fs';
import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import type { Pipeline, PipelineInput } from '../../src/core/message.ts';
import type { Scored } from './filter-score.ts';

const WARM_UP = 50;
const CAUGHT: ReadonlySet<string> = new Set(['spam', 'phish', 'spoof', 'malware', 'policy', 'unscannable']);

/** Runs files through the pipeline and measures the processor time of all threads, start and warm-up left out. */
export async function scoreFiles(
  pipeline: Pipeline,
  inputs: readonly { readonly file: string; readonly isSpam: boolean }[],
): Promise<{ scored: Scored[]; messagesPerCpuSecond: number }> {
  const { signal } = new AbortController();
  for (const { file } of inputs.slice(0, WARM_UP)) await pipeline.run(inputOf(file), signal);
  const before = process.cpuUsage();
  const scored: Scored[] = [];
  for (const { file, isSpam } of inputs) {
    const [decision] = (await pipeline.run(inputOf(file), signal)).decisions;
    if (decision === undefined) throw new Error('no decision');
    const { verdict, score, reasons } = decision;
    scored.push({ file, isSpam, score, isCaught: CAUGHT.has(verdict), codes: reasons.map((reason) => reason.code) });
  }
  const used = process.cpuUsage(before);
  const seconds = (used.user + used.system) / 1e6;
  return { scored, messagesPerCpuSecond: Math.round(inputs.length / seconds) };
}

/** An envelope as the headers let it be guessed: an archive does not hold it. */
function inputOf(file: string): PipelineInput {
  const head = readFileSync(file).subarray(0, 20_000).toString('latin1');
  const received = /^Received:[^]*?;\s*([^\r\n]+)/im.exec(head)?.[1] ?? '';
  const when = new Date(received);
  const dated = new Date(/^Date:\s*([^\r\n]+)/im.exec(head)?.[1] ?? '');
  const receivedAt = [when, dated].find((date) => !Number.isNaN(date.getTime())) ?? new Date();
  return {
    path: file,
    bytes: statSync(file).size,
    envelope: {
      sender: '',
      remoteAddress: '192.0.2.1',
      remoteName: null,
      helo: '',
      tls: false,
      direction: 'inbound',
      authenticatedAs: null,
      receivedAt,
    },
    recipients: [
      {
        recipient: 'someone@client.example',
        domain: 'client.example',
        partnerId: 'p',
        clientId: 'c',
        mailboxId: null,
        policy: DEFAULT_POLICY,
        lists: [],
        ownDomains: ['client.example'],
      },
    ],
  };
}
