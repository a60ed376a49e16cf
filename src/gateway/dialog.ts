import { connect, isIPv6, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { DotStuff } from './dot-stuff.ts';
import { TlsFailure } from './tls.ts';

export interface DialogTarget {
  readonly address: string;
  readonly port: number;
  /** Own address to speak from, where it is of the same family. */
  readonly localAddress?: string | null;
  /** Milliseconds for each reply and for the connection. */
  readonly timeoutMs: number;
  /** Milliseconds for all of it. */
  readonly deadlineMs?: number;
}

/** A reply of one line or several (RFC 5321 section 4.2). `text` holds the codes too, as nodemailer gives it. */
export interface DialogReply {
  readonly code: number;
  readonly text: string;
}

const REPLY_MAX = 65_536;
const TAKEN_MS = 600_000;
const WHOLE = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/;

/**
 * SMTP spoken by hand, one command after the other: for servers that trip over what a client usually does, and for looking
 * at a server without sending. Every wait is bounded, every failure rejects.
 */
export class Dialog {
  #socket: Socket;
  readonly #timeoutMs: number;
  #text = '';
  #failure: Error | null = null;
  #wake: () => void = () => undefined;
  readonly #deadline: NodeJS.Timeout | undefined;

  private constructor(socket: Socket, timeoutMs: number, deadlineMs: number | undefined) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#listen(socket);
    if (deadlineMs !== undefined) {
      this.#deadline = setTimeout(() => this.#fail(new Error('the server took too long')), deadlineMs);
      this.#deadline.unref();
    }
  }

  /** Connects; the greeting is the first `reply`. */
  static async open(to: DialogTarget): Promise<Dialog> {
    const own = to.localAddress ?? null;
    const local = own !== null && isIPv6(own) === isIPv6(to.address) ? { localAddress: own } : {};
    const socket = connect({ host: to.address, port: to.port, ...local });
    const dialog = new Dialog(socket, to.timeoutMs, to.deadlineMs);
    await dialog.#until(() => (socket.connecting ? undefined : true));
    return dialog;
  }

  /** The next reply. */
  reply(): Promise<DialogReply> {
    return this.#until(() => {
      const match = WHOLE.exec(this.#text);
      if (match === null) {
        if (this.#text.length > REPLY_MAX) throw new Error('the reply is too long');
        const line = /^[^\n]*\n/.exec(this.#text)?.[0];
        if (line !== undefined && !/^\d{3}(?:[ -]|\r?\n)/.test(line)) throw new Error('the server does not speak SMTP');
        return undefined;
      }
      this.#text = this.#text.slice(match[0].length);
      // PostgreSQL takes no NUL.
      const said = Buffer.from(match[0].trimEnd().replaceAll('\0', '?'), 'latin1').toString('utf8');
      const text = said.replace(/\r\n/g, '\n');
      return { code: Number(text.slice(0, 3)), text };
    });
  }

  say(line: string): Promise<DialogReply> {
    if (/[\r\n\0]/.test(line)) throw new Error('a command of one line is wanted');
    this.#socket.write(`${line}\r\n`);
    return this.reply();
  }

  /** After 354: the message, its dots doubled, and the final dot. Answers the reply. The message ends with CRLF. */
  async send(message: Readable): Promise<DialogReply> {
    await pipeline(message, new DotStuff(), this.#socket, { end: false });
    this.#socket.write('.\r\n');
    // Who hangs up earlier than RFC 5321 section 4.5.3.2.6 says sends again what was taken.
    this.#socket.setTimeout(Math.max(TAKEN_MS, this.#timeoutMs));
    try {
      return await this.reply();
    } finally {
      this.#socket.setTimeout(this.#timeoutMs);
    }
  }

  /** After 220 to STARTTLS. What was heard before is forgotten (RFC 3207 section 4.2). Rejects with TlsFailure. */
  async secure(options: {
    readonly host: string;
    readonly verify: boolean;
    readonly ca?: string | undefined;
  }): Promise<TLSSocket> {
    const plain = this.#socket;
    plain.removeAllListeners();
    plain.setTimeout(0);
    this.#text = '';
    const secured = connectTls({
      socket: plain,
      // An address is no name for SNI (RFC 6066 section 3), but the certificate is checked for it.
      ...(/^[\d.]+$|:/.test(options.host) ? { host: options.host } : { servername: options.host }),
      rejectUnauthorized: options.verify,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
    let isSecure = false;
    secured.once('secureConnect', () => {
      isSecure = true;
      this.#wake();
    });
    this.#socket = secured;
    this.#listen(secured);
    try {
      await this.#until(() => (isSecure ? true : undefined));
    } catch (error) {
      throw new TlsFailure(error instanceof Error ? error.message : String(error), { cause: error });
    }
    return secured;
  }

  close(): void {
    clearTimeout(this.#deadline);
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.setTimeout(this.#timeoutMs);
    socket.on('data', (chunk: Buffer) => {
      // What nobody waits for is bounded too.
      if (this.#text.length <= REPLY_MAX) this.#text += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('connect', () => this.#wake());
    socket.on('error', (error) => this.#fail(error));
    socket.on('timeout', () => this.#fail(new Error('the server did not answer in time')));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    clearTimeout(this.#deadline);
    this.#socket.destroy();
    this.#wake();
  }

  /** What `look` finds, as soon as it finds something. */
  async #until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
