import { createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type SecureVersion, TLSSocket } from 'node:tls';
import { listenOwn } from '../../support/ports.ts';

/** A server that answers as told; what is not told is answered as by one that takes all. An answer is a whole reply or null: hang up. */
export interface PickyOptions {
  readonly banner?: string;
  /** Extensions that EHLO lists. */
  readonly extensions?: readonly string[];
  answer?(line: string): string | null | undefined;
  /** The reply to the final dot. */
  content?(body: string): string | null;
  /** Milliseconds before that reply. */
  readonly contentMs?: number;
  readonly tls?: { readonly key: string; readonly cert: string; readonly maxVersion?: SecureVersion };
  /** Says 220 to STARTTLS and then talks rubbish. */
  readonly brokenTls?: boolean;
}

export interface Picky {
  readonly port: number;
  /** Every line that was said, of all connections. */
  readonly lines: string[];
  /** Bodies that were taken. */
  readonly bodies: string[];
  readonly peers: string[];
  connections: number;
  /** How many of the bodies came over TLS. */
  secure: number;
  close(): Promise<void>;
}

/** A mail server in a few lines, for the faults that a proper one does not have. */
export async function openPicky(t: TestContext, options: PickyOptions = {}): Promise<Picky> {
  const sockets = new Set<Socket>();
  const state: Picky = {
    port: 0,
    lines: [],
    bodies: [],
    peers: [],
    connections: 0,
    secure: 0,
    close: async () => undefined,
  };

  const talk = (socket: Socket, isSecure: boolean): void => {
    let text = '';
    let inData = false;
    const say = (reply: string | null): void => {
      if (reply === null) socket.destroy();
      else socket.write(`${reply}\r\n`, 'latin1');
    };
    /** The reply; undefined: said already. */
    const command = (line: string): string | null | undefined => {
      state.lines.push(line);
      const told = options.answer?.(line);
      if (told !== undefined) return told;
      const word = line.slice(0, 4).toUpperCase();
      if (word === 'EHLO') {
        const offered = options.tls !== undefined || options.brokenTls === true ? ['STARTTLS'] : [];
        const lines = ['picky.example', ...(options.extensions ?? []), ...(isSecure ? [] : offered)];
        return lines.map((one, at) => `250${at === lines.length - 1 ? ' ' : '-'}${one}`).join('\r\n');
      }
      if (word === 'STAR') {
        say('220 go ahead');
        socket.removeAllListeners('data');
        if (options.brokenTls === true) {
          socket.write('this is no TLS\r\n');
          return undefined;
        }
        const secured = new TLSSocket(socket, { isServer: true, ...options.tls });
        secured.on('error', () => undefined);
        talk(secured, true);
        return undefined;
      }
      if (word === 'DATA') {
        inData = true;
        return '354 go on';
      }
      return word === 'QUIT' ? '221 bye' : '250 ok';
    };
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (;;) {
        const mark = inData ? '\r\n.\r\n' : '\r\n';
        const at = text.indexOf(mark);
        if (at < 0) return;
        const piece = text.slice(0, at);
        text = text.slice(at + mark.length);
        if (!inData) {
          const reply = command(piece);
          if (reply !== undefined) say(reply);
          continue;
        }
        inData = false;
        const body = piece.replace(/(^|\r\n)\.\./g, '$1.');
        const reply = options.content === undefined ? '250 taken' : options.content(body);
        if (reply?.startsWith('2') === true) {
          state.bodies.push(body);
          if (isSecure) state.secure += 1;
        }
        if (options.contentMs === undefined) say(reply);
        else setTimeout(() => say(reply), options.contentMs).unref();
      }
    });
  };

  const server = createServer((socket) => {
    state.connections += 1;
    state.peers.push(socket.remoteAddress ?? '');
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    talk(socket, false);
    const banner = options.banner ?? '220 picky.example ESMTP';
    if (banner !== '') socket.write(`${banner}\r\n`);
  });
  const port = await listenOwn(server);
  const close = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
  t.after(close);
  return Object.assign(state, { port, close });
}
