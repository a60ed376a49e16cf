import { statSync } from 'node:fs';
import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import { domainOf, normalizeAddress } from '../../src/core/address.ts';
import type { Envelope, Pipeline, PipelineInput } from '../../src/core/message.ts';
import { headOf } from './filter-folder.ts';
import type { Scored } from './filter-score.ts';

const WARM_UP = 200;
const CAUGHT: ReadonlySet<string> = new Set(['spam', 'phish', 'spoof', 'malware', 'policy', 'unscannable']);

/** Runs files through the pipeline and measures the processor time of all threads, start and warm-up left out. */
export async function scoreFiles(
  pipeline: Pipeline,
  inputs: readonly { readonly file: string; readonly isSpam: boolean }[],
): Promise<{ scored: Scored[]; messagesPerCpuSecond: number | null }> {
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
  return { scored, messagesPerCpuSecond: inputs.length === 0 ? null : Math.round(inputs.length / seconds) };
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

/** `from HELO (NAME [ADDRESS]) by …` as Postfix, Sendmail and Google write it, `([ADDRESS] helo=HELO)` as Exim, `(HELO HELO) (ADDRESS)` as qmail. */
function hopOf(text: string): { helo: string; name: string | null; address: string } | null {
  const from = /^from +(\S+)/i.exec(text)?.[1] ?? '';
  const before = text.slice(0, text.search(/\sby\s/i) + 1 || 400).slice(0, 400);
  const address = /[[(](\d{1,3}(?:\.\d{1,3}){3})[\])]/.exec(before)?.[1];
  if (address === undefined || PRIVATE.test(address)) return null;
  const helo = /\bhelo[ =]([\w.:[\]-]+)/i.exec(before)?.[1];
  const shown =
    /\((?:\w+@)?([\w-]+(?:\.[\w-]+)+)\.? +\[/.exec(before)?.[1]?.toLowerCase() ??
    (helo === undefined ? '' : from.toLowerCase());
  const isName = /^[\w-]+(?:\.[\w-]+)+$/.test(shown) && !/^[\d.]+$/.test(shown);
  return { helo: helo ?? from, name: isName ? shown : null, address };
}

function inputOf(file: string): PipelineInput {
  const head = headOf(file).toString('latin1');
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
