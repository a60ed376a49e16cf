import { createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { listenOwn } from '../../support/ports.ts';

/** What a server says at a step: the reply's lines, or null, which closes the connection without a word. */
export type Says = (step: 'connect' | 'MAIL' | 'RCPT' | 'DATA' | 'message', text: string) => string | null;

/** A mail server that says what it is told to, and counts connections. */
export async function openRaw(t: TestContext, says: Says, listenOn = 0) {
  const seen = { connections: 0, open: 0, most: 0, messages: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    seen.connections += 1;
    seen.open += 1;
    seen.most = Math.max(seen.most, seen.open);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      seen.open -= 1;
    });
    const answer = (reply: string | null) => {
      if (reply === null) socket.destroy();
      else if (reply.startsWith('421')) socket.end(`${reply}\r\n`);
      else socket.write(`${reply}\r\n`);
    };
    let buffered = '';
    let message: string | null = null;
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      buffered += chunk;
      for (let at = buffered.indexOf('\r\n'); at >= 0; at = buffered.indexOf('\r\n')) {
        const line = buffered.slice(0, at);
        buffered = buffered.slice(at + 2);
        if (message !== null) {
          if (line !== '.') message += `${line}\n`;
          else {
            const reply = says('message', message);
            message = null;
            if (reply?.startsWith('250')) seen.messages += 1;
            answer(reply);
          }
          continue;
        }
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'MAIL' || verb === 'RCPT') answer(says(verb, line));
        else if (verb === 'DATA') {
          const reply = says('DATA', line);
          if (reply?.startsWith('354')) message = '';
          answer(reply);
        } else if (verb === 'QUIT') socket.end('221 bye\r\n');
        else answer('250 raw.example');
      }
    });
    answer(says('connect', ''));
  });
  const port = await listenOwn(server, listenOn);
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  t.after(close);
  return { port, seen, close };
}

/** A server that takes everything. */
export const takesAll: Says = (step) =>
  step === 'connect' ? '220 raw.example' : step === 'DATA' ? '354 go' : '250 ok';
