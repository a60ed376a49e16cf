import type { Readable } from 'node:stream';
import SMTPConnection from 'nodemailer/lib/smtp-connection';

export interface Destination {
  /** As configured: the name for TLS and for people. */
  readonly host: string;
  /** The checked address that is connected to. */
  readonly address: string;
  readonly port: number;
  readonly tls: 'none' | 'opportunistic' | 'required';
}

/** What a server said about one recipient. `code` 0: it did not answer. */
export interface RelayReply {
  readonly code: number;
  readonly text: string;
}

export interface RelayResult {
  /** By recipient. */
  readonly replies: ReadonlyMap<string, RelayReply>;
  /** Not null: no server answered, or it broke off. */
  readonly failure: string | null;
  /** No session could be opened. */
  readonly unreached?: true;
  /** Our own failure, which says nothing of the server. */
  readonly ours?: true;
}

export interface Parcel {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly bytes: number;
  open(): Promise<Readable>;
}

interface SendError extends Error {
  responseCode?: number;
  response?: string;
  command?: string;
}
interface RejectedError extends SendError {
  recipient?: string;
}

const IDLE_MS = 5_000;
const PER_CONNECTION = 100;

interface Kept {
  readonly connection: SMTPConnection;
  uses: number;
  timer: NodeJS.Timeout | undefined;
}

/** Speaks SMTP to servers, and keeps connections for the next message. */
export class Relay {
  readonly #name: string;
  readonly #timeoutMs: number;
  readonly #idle = new Map<string, Kept[]>();
  #closed = false;

  constructor(hostName: string, timeoutMs = 120_000) {
    this.#name = hostName;
    this.#timeoutMs = timeoutMs;
  }

  /** One SMTP transaction with several recipients. Never rejects. */
  async send(to: Destination, parcel: Parcel): Promise<RelayResult> {
    const key = `${to.address} ${to.port} ${to.tls} ${to.host}`;
    let kept = this.#take(key);
    const isReused = kept !== null;
    try {
      kept ??= await this.#connect(to);
      const first = await this.#transact(kept, parcel);
      // A kept connection may have been closed by the other side: that says nothing of the server.
      if (first.failure !== null && isReused) {
        kept.connection.close();
        kept = await this.#connect(to);
        return this.#finish(key, kept, await this.#transact(kept, parcel));
      }
      return this.#finish(key, kept, first);
    } catch (error) {
      kept?.connection.close();
      return { ...failed(parcel, error), unreached: true };
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
      return result;
    }
    kept.timer = setTimeout(() => {
      const list = this.#idle.get(key) ?? [];
      this.#idle.set(
        key,
        list.filter((one) => one !== kept),
      );
      this.#drop(kept);
    }, IDLE_MS);
    kept.timer.unref();
    this.#idle.set(key, [...(this.#idle.get(key) ?? []), kept]);
    return result;
  }

  #take(key: string): Kept | null {
    const kept = this.#idle.get(key)?.pop() ?? null;
    clearTimeout(kept?.timer);
    return kept;
  }

  #drop(kept: Kept): void {
    clearTimeout(kept.timer);
    kept.connection.quit();
    setImmediate(() => kept.connection.close());
  }

  #connect(to: Destination): Promise<Kept> {
    const connection = new SMTPConnection({
      host: to.address,
      port: to.port,
      name: this.#name,
      secure: false,
      ...(to.host === to.address ? {} : { servername: to.host }),
      ignoreTLS: to.tls === 'none',
      requireTLS: to.tls === 'required',
      opportunisticTLS: to.tls === 'opportunistic',
      // Opportunistic TLS hides mail from listeners only; a certificate that nobody can check must not stop it (RFC 7435).
      tls: { rejectUnauthorized: to.tls === 'required' },
      connectionTimeout: Math.min(30_000, this.#timeoutMs),
      greetingTimeout: Math.min(30_000, this.#timeoutMs),
      socketTimeout: this.#timeoutMs,
      allowInternalNetworkInterfaces: true,
      logger: false,
    });
    return new Promise((resolve, reject) => {
      // Stays for the whole life: a connection that breaks while it is kept must not end the process.
      connection.on('error', reject);
      connection.connect((error?: Error | null) => {
        if (error) reject(error);
        else resolve({ connection, uses: 0, timer: undefined });
      });
    });
  }

  async #transact({ connection }: Kept, parcel: Parcel): Promise<RelayResult> {
    let message: Readable;
    try {
      message = await parcel.open();
    } catch (error) {
      const text = `4.3.0 ${error instanceof Error ? error.message : 'the message could not be read'}`;
      return {
        replies: new Map(parcel.recipients.map((one) => [one, { code: 451, text }])),
        failure: null,
        ours: true,
      };
    }
    const envelope = {
      from: parcel.sender,
      to: [...parcel.recipients],
      size: parcel.bytes,
      use8BitMime: true,
    };
    return new Promise((resolve) => {
      const broken = (error: Error) => resolve(failed(parcel, error));
      connection.once('error', broken);
      connection.once('end', () => broken(new Error('the server closed the connection')));
      connection.send(envelope, message, (error, info) => {
        connection.removeListener('error', broken);
        connection.removeAllListeners('end');
        message.destroy();
        const rejected = (envelope as { rejectedErrors?: readonly RejectedError[] }).rejectedErrors ?? [];
        resolve(
          error ? refused(parcel, error as SendError, rejected) : mixed(parcel, String(info?.response), rejected),
        );
      });
    });
  }
}

function replyOf(error: SendError): RelayReply {
  return { code: error.responseCode ?? 0, text: error.response ?? error.message };
}

function mixed(parcel: Parcel, response: string, rejected: readonly RejectedError[]): RelayResult {
  const replies = new Map<string, RelayReply>();
  for (const recipient of parcel.recipients) replies.set(recipient, { code: 250, text: response });
  for (const error of rejected) if (error.recipient !== undefined) replies.set(error.recipient, replyOf(error));
  return { replies, failure: null };
}

/** The transaction failed: a reply to MAIL, DATA or the final dot is for all whom RCPT did not refuse before. */
function refused(parcel: Parcel, error: SendError, rejected: readonly RejectedError[]): RelayResult {
  const isReply = (error.responseCode ?? 0) >= 400 && error.command !== 'CONN' && error.command !== 'EHLO';
  if (!isReply) return failed(parcel, error);
  const result = mixed(parcel, '', rejected);
  const own = new Set(rejected.map((one) => one.recipient));
  const replies = new Map(result.replies);
  for (const recipient of parcel.recipients) if (!own.has(recipient)) replies.set(recipient, replyOf(error));
  return { replies, failure: error.responseCode === 421 ? replyOf(error).text : null };
}

function failed(parcel: Parcel, error: unknown): RelayResult {
  const text = error instanceof Error ? ((error as SendError).response ?? error.message) : String(error);
  return { replies: new Map(parcel.recipients.map((one) => [one, { code: 0, text }])), failure: text };
}
