import { printable } from '../core/address.ts';
import type { ProbeResult, ProbeTarget, ServerProbe } from '../core/probe.ts';
import type { Resolver } from '../mail/resolver.ts';
import { Dialog, type DialogReply } from './dialog.ts';
import { addressOf } from './hosts.ts';
import { TlsFailure } from './tls.ts';

export interface ProbeDeps {
  readonly resolver: Resolver;
  readonly hostName: string;
  readonly allowPrivateHosts: readonly string[];
  /** Milliseconds for one answer, and for all of it. */
  readonly timeoutMs?: number;
  readonly deadlineMs?: number;
  /** Further certificate authority, PEM, for tests. */
  readonly ca?: string;
}

const BANNER_MAX = 200;
const ERROR_MAX = 500;

/** What is known so far; a probe that breaks off keeps it. */
interface Seen {
  banner: string | null;
  certificateUntil: Date | null;
  note: string | null;
}

/**
 * A look at a client's server: greeting, EHLO, STARTTLS and the end of its certificate, RCPT for a known mailbox from the
 * null sender, then RSET and QUIT. Never DATA, so nothing is ever delivered. Only to addresses that mail may be sent to.
 */
export function serverProbe(deps: ProbeDeps): ServerProbe {
  return async (target) => {
    const seen: Seen = { banner: null, certificateUntil: null, note: null };
    try {
      const address = await addressOf(target.host, deps.resolver, deps.allowPrivateHosts);
      try {
        return await look(deps, target, address, target.tls !== 'none', seen);
      } catch (error) {
        if (!(error instanceof TlsFailure) || target.tls === 'required') throw error;
        // As delivery does: TLS that fails is no reason not to send, but worth knowing.
        seen.note = `STARTTLS fails: ${error.message}`;
        return await look(deps, target, address, false, seen);
      }
    } catch (error) {
      return result('silent', null, seen, error instanceof Error ? error.message : String(error));
    }
  };
}

async function look(
  deps: ProbeDeps,
  target: ProbeTarget,
  address: string,
  tls: boolean,
  seen: Seen,
): Promise<ProbeResult> {
  const started = performance.now();
  const { timeoutMs = 20_000, deadlineMs = 45_000 } = deps;
  const dialog = await Dialog.open({ address, port: target.port, timeoutMs, deadlineMs });
  try {
    const banner = await dialog.reply();
    seen.banner = printable(banner.text.slice(4), BANNER_MAX);
    const refusal = await refusalOf(dialog, deps, target, tls, seen, banner);
    const latency = Math.round(performance.now() - started);
    for (const last of ['RSET', 'QUIT']) await dialog.say(last).catch(() => undefined);
    return refusal === undefined
      ? result('ok', latency, seen, seen.note)
      : result('refused', latency, seen, refusal.text);
  } finally {
    dialog.close();
  }
}

/** The first answer that would keep mail out; undefined: there is none. */
async function refusalOf(
  dialog: Dialog,
  deps: ProbeDeps,
  target: ProbeTarget,
  tls: boolean,
  seen: Seen,
  banner: DialogReply,
): Promise<DialogReply | undefined> {
  if (banner.code !== 220) return banner;
  let hello = await dialog.say(`EHLO ${deps.hostName}`);
  const isOffered = /^250[ -]STARTTLS\s*$/im.test(hello.text);
  if (tls && (isOffered || target.tls === 'required')) {
    const ready = await dialog.say('STARTTLS');
    if (ready.code !== 220) throw new TlsFailure(ready.text);
    const socket = await dialog.secure({ host: target.host, verify: target.tls === 'required', ca: deps.ca });
    const until = new Date(socket.getPeerCertificate().valid_to);
    seen.certificateUntil = Number.isNaN(until.getTime()) ? null : until;
    hello = await dialog.say(`EHLO ${deps.hostName}`);
  }
  if (!isTaken(hello)) hello = await dialog.say(`HELO ${deps.hostName}`);
  if (!isTaken(hello)) return hello;
  if (target.mailbox === null) return undefined;
  const mail = await dialog.say('MAIL FROM:<>');
  if (!isTaken(mail)) return mail;
  const rcpt = await dialog.say(`RCPT TO:<${target.mailbox}>`);
  return isTaken(rcpt) ? undefined : rcpt;
}

const isTaken = (reply: DialogReply) => reply.code >= 200 && reply.code < 300;

function result(
  answer: ProbeResult['answer'],
  latencyMs: number | null,
  seen: Seen,
  error: string | null,
): ProbeResult {
  const { banner, certificateUntil } = seen;
  return { answer, latencyMs, banner, certificateUntil, error: error === null ? null : printable(error, ERROR_MAX) };
}
