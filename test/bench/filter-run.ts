import { readFileSync, statSync } from 'node:fs';
import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import { domainOf, normalizeAddress } from '../../src/core/address.ts';
import type { Envelope, Pipeline, PipelineInput } from '../../src/core/message.ts';
import type { Scored } from './filter-score.ts';

const WARM_UP = 200;
const CAUGHT: ReadonlySet<string> = new Set(['spam', 'phish', 'spoof', 'malware', 'policy', 'unscannable']);

/** Runs files through the pipeline and measures the processor time of all threads, start and warm-up left out. */
export async function scoreFiles(
  pipeline: Pipeline,
  inputs: readonly { readonly file: string; readonly isSpam: boolean }[],
): Promise<{ scored: Scored[]; messagesPerCpuSecond: number }> {
  const { signal } = new AbortController();
  // Rebuilding envelopes is the bench's own work, which a gateway does not have.
  const prepared = inputs.map(({ file, isSpam }) => ({ file, isSpam, input: inputOf(file) }));
  for (const { input } of prepared.slice(0, WARM_UP)) await pipeline.run(input, signal);
  const before = process.cpuUsage();
  const scored: Scored[] = [];
  for (const { file, isSpam, input } of prepared) {
    const [decision] = (await pipeline.run(input, signal)).decisions;
    if (decision === undefined) throw new Error('no decision');
    const { verdict, score, reasons } = decision;
    scored.push({ file, isSpam, score, isCaught: CAUGHT.has(verdict), codes: reasons.map((reason) => reason.code) });
  }
  const used = process.cpuUsage(before);
  const seconds = (used.user + used.system) / 1e6;
  return { scored, messagesPerCpuSecond: Math.round(inputs.length / seconds) };
}

/** The envelope as the trace headers tell it: the first hop from a public address is the one that a gateway would see. */
export function envelopeOf(head: string): Envelope {
  const unfolded = head.slice(0, head.search(/\r?\n\r?\n/) + 1 || head.length).replace(/\r?\n[ \t]+/g, ' ');
  const hops = [...unfolded.matchAll(/^Received: *(.*)$/gim)].map((match) => match[1] ?? '');
  const hop = hops.map(hopOf).find((one) => one !== null) ?? { helo: '', name: null, address: '192.0.2.1' };
  const dates = [
    ...hops.map((text) => text.slice(text.lastIndexOf(';') + 1)),
    /^Date: *(.*)$/im.exec(unfolded)?.[1] ?? '',
  ];
  const receivedAt = dates.map((text) => new Date(text)).find((date) => !Number.isNaN(date.getTime())) ?? new Date();
  return {
    sender: normalizeAddress(/^Return-Path: *<?([^>\s]*)/im.exec(unfolded)?.[1] ?? '') ?? '',
    remoteAddress: hop.address,
    remoteName: hop.name,
    helo: hop.helo,
    tls: false,
    direction: 'inbound',
    authenticatedAs: null,
    receivedAt,
  };
}

const PRIVATE = /^(?:10\.|127\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|0\.)/;

/** `from HELO (NAME [ADDRESS]) by …`, as Postfix, Sendmail and most others write it. */
function hopOf(text: string): { helo: string; name: string | null; address: string } | null {
  const match = /^from +(\S+) +\((?:(\S+) +)?(?:[^()[\]]* )?\[?(\d{1,3}(?:\.\d{1,3}){3})\]?/i.exec(text);
  if (match?.[3] === undefined || PRIVATE.test(match[3])) return null;
  const name = match[2]?.replace(/^\w+@/, '').toLowerCase() ?? '';
  const isName = /^[\w-]+(?:\.[\w-]+)+$/.test(name) && !/^[\d.]+$/.test(name);
  return { helo: match[1] ?? '', name: isName ? name : null, address: match[3] };
}

function inputOf(file: string): PipelineInput {
  const head = readFileSync(file).subarray(0, 30_000).toString('latin1');
  const envelope = envelopeOf(head);
  const to = normalizeAddress(/^To:.*?([\w.+-]+@[\w.-]+\w)/im.exec(head)?.[1] ?? '') ?? 'someone@client.example';
  return {
    path: file,
    bytes: statSync(file).size,
    envelope,
    recipients: [
      {
        recipient: to,
        domain: domainOf(to),
        partnerId: 'p',
        clientId: 'c',
        mailboxId: null,
        policy: DEFAULT_POLICY,
        lists: [],
        // Nothing is known of the domains that an archive's recipients protect.
        ownDomains: [],
      },
    ],
  };
}
