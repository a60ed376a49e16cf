import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { connectionTls, failedInTls, plainResult, type TlsPolicy, type TlsResult, wasGreeted } from './tls.ts';

export interface Destination {
  /** As configured: the name for TLS and for people. */
  readonly host: string;
  /** The checked address that is connected to. */
  readonly address: string;
  readonly port: number;
  readonly tls: 'none' | 'opportunistic' | 'required';
  /** Why `tls` is what it is, when that is not a setting. */
  readonly policy?: TlsPolicy;
  /** False: the host is not one of its domain's policy, which is only being tested. */
  readonly isListed?: boolean;
}

/** What a server said about one recipient. `code` 0: it did not answer. */
export interface RelayReply {
  readonly code: number;
  readonly text: string;
  /** True: said to the content, after RCPT. With code 0: the content was sent, and whether it was taken is not known. */
  readonly afterData?: boolean;
  /** True: the server was not asked, we know that it would not take the message. */
  readonly isOurs?: boolean;
}

export interface RelayResult extends Partial<TlsResult> {
  /** By recipient. */
  readonly replies: ReadonlyMap<string, RelayReply>;
  /** Not null: no server answered, or it broke off. */
  readonly failure: string | null;
  /** No session could be opened. */
  readonly unreached?: true;
  /** Our own failure, which says nothing of the server. */
  readonly ours?: true;
  /** With `failure`: the server had greeted us before, so it is up. */
  readonly greeted?: boolean;
  /** The server took over what the sender asked for by RFC 3461: notifications of success are its affair. */
  readonly dsn?: boolean;
}

export interface Parcel {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly bytes: number;
  open(): Promise<Readable>;
  /** What is handed on to a server that knows RFC 3461; the same for all recipients. */
  readonly dsn?: ParcelDsn | undefined;
  /** What the message needs of a server; asked only when the server lacks one of it. Absent: the server gets it as it is. */
  needs?(): Promise<{ readonly utf8: boolean; readonly eightBit: boolean }>;
}

export interface ParcelDsn {
  readonly ret: 'FULL' | 'HDRS' | null;
  readonly envid: string | null;
  /** `NEVER`, or a list of `SUCCESS`, `FAILURE`, `DELAY` with commas. */
  readonly notify: string | null;
  /** `type;address`. */
  readonly orcpt: string | null;
}

interface SendError extends Error {
  responseCode?: number;
  response?: string;
  command?: string;
  code?: string;
}
interface RejectedError extends SendError {
  recipient?: string;
}

/** A connection that did not come about. */
class ConnectFailure extends Error {
  override readonly name = 'ConnectFailure';
  readonly greeted: boolean;
  readonly inTls: boolean;

  constructor(error: SendError, greeted: boolean, inTls: boolean) {
    super(error.response ?? error.message, { cause: error });
    this.greeted = greeted;
    this.inTls = inTls;
  }
}

const IDLE_MS = 5_000;
/** For the answer to the final dot (RFC 5321 section 4.5.3.2.6): who hangs up earlier sends again what was taken. */
const TAKEN_MS = 600_000;
const PER_CONNECTION = 100;

interface Kept {
  readonly connection: SMTPConnection;
  readonly tls: TlsResult;
  uses: number;
  timer: NodeJS.Timeout | undefined;
}

/** Speaks SMTP to servers, and keeps connections for the next message. */
export class Relay {
  readonly #name: string;
  readonly #timeoutMs: number;
  readonly #ca: string | undefined;
  readonly #idle = new Map<string, Kept[]>();
  #closed = false;

  /** `ca`: a further certificate authority, PEM, for tests. */
  constructor(hostName: string, timeoutMs = 120_000, ca?: string) {
    this.#name = hostName;
    this.#timeoutMs = timeoutMs;
    this.#ca = ca;
  }

  /** One SMTP transaction with several recipients. Never rejects. */
  async send(to: Destination, parcel: Parcel): Promise<RelayResult> {
    const result = await this.#send(to, parcel);
    const replies = new Map([...result.replies].map(([one, reply]) => [one, { ...reply, text: textOf(reply.text) }]));
    return { ...result, replies, failure: result.failure === null ? null : textOf(result.failure) };
  }

  async #send(to: Destination, parcel: Parcel): Promise<RelayResult> {
    const key = [to.address, to.port, to.tls, to.policy, to.isListed, to.host].join(' ');
    let kept = this.#take(key);
    const isReused = kept !== null;
    try {
      kept ??= await this.#open(to);
      const first = await this.#transact(kept, parcel);
      // A kept connection may have been closed by the other side: that says nothing of the server.
      if (first.failure !== null && isReused) {
        kept.connection.close();
        kept = await this.#open(to);
        return this.#finish(key, kept, await this.#transact(kept, parcel));
      }
      return this.#finish(key, kept, first);
    } catch (error) {
      kept?.connection.close();
      return { ...notConnected(parcel, error, to), ...plainResult(policyOf(to)) };
    }
  }

  close(): void {
    this.#closed = true;
    for (const kept of [...this.#idle.values()].flat()) this.#drop(kept);
    this.#idle.clear();
  }

  #finish(key: string, kept: Kept, result: RelayResult): RelayResult {
    const clean = result.failure === null && [...result.replies.values()].some((reply) => reply.code < 300);
    kept.uses += 1;
    if (!clean || this.#closed || kept.uses >= PER_CONNECTION) {
      this.#drop(kept);
      return { ...result, ...kept.tls };
    }
    kept.timer = setTimeout(() => {
      this.#keep(
        key,
        (this.#idle.get(key) ?? []).filter((one) => one !== kept),
      );
      this.#drop(kept);
    }, IDLE_MS);
    kept.timer.unref();
    this.#keep(key, [...(this.#idle.get(key) ?? []), kept]);
    return { ...result, ...kept.tls };
  }

  /** A server without a kept connection leaves nothing behind: there are as many as there are domains. */
  #keep(key: string, list: Kept[]): void {
    if (list.length > 0) this.#idle.set(key, list);
    else this.#idle.delete(key);
  }

  #take(key: string): Kept | null {
    const list = [...(this.#idle.get(key) ?? [])];
    const kept = list.pop() ?? null;
    this.#keep(key, list);
    clearTimeout(kept?.timer);
    return kept;
  }

  #drop(kept: Kept): void {
    clearTimeout(kept.timer);
    kept.connection.quit();
    setImmediate(() => kept.connection.close());
  }

  /** Opportunistic TLS that fails in its handshake is no reason not to send: once more, without (RFC 7435). */
  async #open(to: Destination): Promise<Kept> {
    try {
      return await this.#connect(to, to.tls);
    } catch (error) {
      if (to.tls !== 'opportunistic' || !(error instanceof ConnectFailure && error.inTls)) throw error;
      return this.#connect(to, 'none');
    }
  }

  #connect(to: Destination, mode: Destination['tls']): Promise<Kept> {
    const connection = new SMTPConnection({
      host: to.address,
      port: to.port,
      name: this.#name,
      secure: false,
      ...(to.host === to.address ? {} : { servername: to.host }),
      ignoreTLS: mode === 'none',
      requireTLS: mode === 'required',
      opportunisticTLS: mode === 'opportunistic',
      // Opportunistic TLS hides mail from listeners only; a certificate that nobody can check must not stop it (RFC 7435).
      tls: { rejectUnauthorized: mode === 'required', ...(this.#ca === undefined ? {} : { ca: this.#ca }) },
      connectionTimeout: Math.min(30_000, this.#timeoutMs),
      greetingTimeout: Math.min(30_000, this.#timeoutMs),
      socketTimeout: this.#timeoutMs,
      allowInternalNetworkInterfaces: true,
      logger: false,
    });
    return new Promise((resolve, reject) => {
      const fail = (error: SendError & { code?: string }) =>
        reject(new ConnectFailure(error, wasGreeted(connection), failedInTls(connection, error)));
      // Stays for the whole life: a connection that breaks while it is kept must not end the process.
      connection.on('error', fail);
      connection.connect((error?: Error | null) => {
        if (error) fail(error);
        else {
          const tls = connectionTls(connection, policyOf(to), to.isListed !== false);
          resolve({ connection, tls, uses: 0, timer: undefined });
        }
      });
    });
  }

  /** Sends to the recipients that the server can take with what it knows; the others get their reply from us. */
  async #transact(kept: Kept, parcel: Parcel): Promise<RelayResult> {
    const known = extensionsOf(kept.connection);
    let unfit: ReadonlyMap<string, RelayReply>;
    try {
      unfit = await unfitFor(parcel, known);
    } catch (error) {
      return ourFault(parcel, error);
    }
    const recipients = parcel.recipients.filter((one) => !unfit.has(one));
    if (recipients.length === 0) return { replies: unfit, failure: null };
    const result = await this.#exchange(kept, { ...parcel, recipients });
    return { ...result, replies: new Map([...result.replies, ...unfit]), dsn: known.has('DSN') };
  }

  async #exchange({ connection }: Kept, parcel: Parcel): Promise<RelayResult> {
    let message: Readable;
    try {
      message = await parcel.open();
    } catch (error) {
      return ourFault(parcel, error);
    }
    const envelope = {
      from: parcel.sender,
      to: [...parcel.recipients],
      size: parcel.bytes,
      use8BitMime: true,
      ...(parcel.dsn === undefined ? {} : { dsn: dsnOptions(parcel.dsn) }),
    };
    let isSent = false;
    const end = (result: RelayResult) => (isSent ? unsure(result) : result);
    return new Promise((resolve) => {
      const broken = (error: Error) => resolve(end({ ...failed(parcel, error), greeted: true }));
      connection.once('error', broken);
      // nodemailer closes before it tells why, where a pipelined server took DATA and not MAIL: what it tells counts.
      connection.once('end', () => setImmediate(() => broken(new Error('the server closed the connection'))));
      message.once('end', () => {
        isSent = true;
        socketOf(connection)?.setTimeout(Math.max(TAKEN_MS, this.#timeoutMs));
      });
      connection.send(envelope, message, (error, info) => {
        socketOf(connection)?.setTimeout(this.#timeoutMs);
        connection.removeListener('error', broken);
        connection.removeAllListeners('end');
        message.destroy();
        const rejected = (envelope as { rejectedErrors?: readonly RejectedError[] }).rejectedErrors ?? [];
        resolve(
          error ? end(refused(parcel, error as SendError, rejected)) : mixed(parcel, String(info?.response), rejected),
        );
      });
    });
  }
}

/** nodemailer 10.6.0 knows one time for all answers. */
function socketOf(connection: SMTPConnection): Socket | undefined {
  return (connection as unknown as { _socket?: Socket | false })._socket || undefined;
}

/** What a server said, as it can be stored: PostgreSQL takes no NUL, and an outcome that can't be written is tried again. */
function textOf(said: string): string {
  return said.replaceAll('\0', '\ufffd').toWellFormed();
}

function policyOf(to: Destination): TlsPolicy {
  return to.policy ?? to.tls;
}

/** Our own failure, which says nothing of the server. */
function ourFault(parcel: Parcel, error: unknown): RelayResult {
  const text = `451 4.3.0 ${error instanceof Error ? error.message : 'the message could not be read'}`;
  return { replies: new Map(parcel.recipients.map((one) => [one, { code: 451, text }])), failure: null, ours: true };
}

/** nodemailer 10.6.0 keeps what EHLO answered to itself. */
function extensionsOf(connection: SMTPConnection): ReadonlySet<string> {
  return new Set((connection as unknown as { _supportedExtensions?: readonly string[] })._supportedExtensions ?? []);
}

/**
 * Recipients that a server without SMTPUTF8 or 8BITMIME must not be sent the message for (RFC 6531 section 3.2, RFC 6152
 * section 3); nodemailer would send it all the same. We convert nothing: it would break signatures.
 */
async function unfitFor(parcel: Parcel, known: ReadonlySet<string>): Promise<ReadonlyMap<string, RelayReply>> {
  const isPlain = (text: string) => /^[\x20-\x7e]*$/.test(text);
  const [utf8, eightBit] = [known.has('SMTPUTF8'), known.has('8BITMIME')];
  if (utf8 && eightBit) return new Map();
  const needs = (await parcel.needs?.()) ?? { utf8: false, eightBit: false };
  const unfit = new Map<string, RelayReply>();
  for (const recipient of parcel.recipients) {
    if (!utf8 && (needs.utf8 || !isPlain(parcel.sender) || !isPlain(recipient))) {
      unfit.set(recipient, {
        code: 553,
        text: '553 5.6.7 The message needs SMTPUTF8, which the server does not know',
        isOurs: true,
      });
    } else if (!eightBit && needs.eightBit) {
      unfit.set(recipient, {
        code: 554,
        text: '554 5.6.3 The message needs 8BITMIME, which the server does not know',
        isOurs: true,
      });
    }
  }
  return unfit;
}

function dsnOptions({ ret, envid, notify, orcpt }: ParcelDsn) {
  return {
    ...(ret === null ? {} : { ret }),
    ...(envid === null ? {} : { envid }),
    ...(notify === null ? {} : { notify }),
    ...(orcpt === null ? {} : { orcpt }),
  };
}

function replyOf(error: SendError): RelayReply {
  const reply = { code: error.responseCode ?? 0, text: error.response ?? error.message };
  return error.command === 'DATA' ? { ...reply, afterData: true } : reply;
}

function mixed(parcel: Parcel, response: string, rejected: readonly RejectedError[]): RelayResult {
  const replies = new Map<string, RelayReply>();
  for (const recipient of parcel.recipients) replies.set(recipient, { code: 250, text: response });
  for (const error of rejected) if (error.recipient !== undefined) replies.set(error.recipient, replyOf(error));
  return { replies, failure: null };
}

/** The transaction failed: a reply to MAIL, DATA or the final dot is for all whom RCPT did not refuse before. */
function refused(parcel: Parcel, error: SendError, rejected: readonly RejectedError[]): RelayResult {
  // The server said in EHLO how much it takes (RFC 1870).
  if (error.code === 'EMESSAGE' && error.command === 'MAIL FROM') {
    const tooLarge = { code: 552, text: '552 5.3.4 The message is larger than the server takes' };
    return { replies: new Map(parcel.recipients.map((one) => [one, tooLarge])), failure: null };
  }
  const isReply = (error.responseCode ?? 0) >= 400 && error.command !== 'CONN' && error.command !== 'EHLO';
  if (!isReply) return { ...failed(parcel, error), greeted: true };
  const result = mixed(parcel, '', rejected);
  const own = new Set(rejected.map((one) => one.recipient));
  const replies = new Map(result.replies);
  for (const recipient of parcel.recipients) if (!own.has(recipient)) replies.set(recipient, replyOf(error));
  return { replies, failure: error.responseCode === 421 ? replyOf(error).text : null };
}

/** A host that its domain's policy does not let us use, for want of a certificate that holds, is there: it isn't down. */
function notConnected(parcel: Parcel, error: unknown, to: Destination): RelayResult {
  if (!(error instanceof ConnectFailure)) return { ...failed(parcel, error), unreached: true };
  const { greeted } = error;
  if (to.policy !== 'mta-sts enforce' || !error.inTls) return { ...failed(parcel, error), unreached: true, greeted };
  const text = `451 4.7.5 MTA-STS: ${to.host} can't be used: ${error.message}`;
  return {
    replies: new Map(parcel.recipients.map((one) => [one, { code: 451, text }])),
    failure: text,
    unreached: true,
    greeted,
  };
}

function unsure(result: RelayResult): RelayResult {
  const mark = (reply: RelayReply): RelayReply => (reply.code === 0 ? { ...reply, afterData: true } : reply);
  return { ...result, replies: new Map([...result.replies].map(([one, reply]) => [one, mark(reply)])) };
}

function failed(parcel: Parcel, error: unknown): RelayResult {
  const text = error instanceof Error ? ((error as SendError).response ?? error.message) : String(error);
  return { replies: new Map(parcel.recipients.map((one) => [one, { code: 0, text }])), failure: text };
}
