import { createReadStream } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { printable } from '../core/address.ts';
import type { OutsideScanner, ScanResult } from '../core/filter.ts';

/** Where clamd listens: TCP, or a socket in the file system. */
export type ClamdAddress = { readonly host: string; readonly port: number } | { readonly path: string };

const CHUNK = 64 * 1024;
/** An answer is one short line. */
const ANSWER_MAX = 4_096;

/**
 * ClamAV by clamd's INSTREAM (clamd(8)): chunks of a length in 4 bytes, big-endian, and that many bytes; a length of 0 ends the
 * message. `FOUND` is malware with the signature's name. A message over clamd's StreamMaxLength is not scanned, which the
 * trace shows; to try again would change nothing. Whatever else clamd says or does rejects.
 */
export function clamdScanner(address: ClamdAddress): OutsideScanner {
  return {
    name: 'clamav',
    async scan(task, signal) {
      signal.throwIfAborted();
      const socket = connect(address);
      const onAbort = () => socket.destroy(asError(signal.reason));
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        const state = { isSent: false, isAnswered: false };
        const answer = answerOf(socket).finally(() => {
          state.isAnswered = true;
        });
        const text = await Promise.race([answer, send(socket, task.path, state).then(() => answer)]);
        return resultOf(text, state.isSent);
      } finally {
        signal.removeEventListener('abort', onAbort);
        socket.destroy();
      }
    },
  };
}

/** The one line of the answer, without its end (NUL, as the command began with `z`). */
function answerOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (part: string) => {
      text += part;
      const end = text.indexOf('\0');
      if (end >= 0) resolve(text.slice(0, end));
      else if (text.length > ANSWER_MAX) reject(new Error('the answer of clamd has no end'));
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('clamd closed the connection without an answer')));
  });
}

/**
 * Rejects when the file cannot be read. A connection that breaks ends it: what clamd said before is worth more. After each chunk
 * what has come is read first: clamd answers and hangs up in the middle, and a write that meets that would lose the answer.
 */
async function send(socket: Socket, path: string, state: { isSent: boolean; isAnswered: boolean }): Promise<void> {
  await write(socket, Buffer.from('zINSTREAM\0'));
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK }) as AsyncIterable<Buffer>) {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(chunk.length);
    if (!(await write(socket, Buffer.concat([size, chunk])))) return;
    // From one end of the loop's turn to the next: what has come meanwhile is read between the two.
    await setImmediate();
    await setImmediate();
    if (state.isAnswered) return;
  }
  state.isSent = true;
  await write(socket, Buffer.alloc(4));
}

/** Answers whether the connection took it. */
function write(socket: Socket, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    socket.write(bytes, (error) => resolve(error === null || error === undefined));
  });
}

function resultOf(answer: string, isSent: boolean): ScanResult {
  const found = /^stream: (.{1,500}) FOUND$/.exec(answer)?.[1];
  if (found !== undefined) {
    return { verdict: 'malware', score: 0, reasons: [{ code: 'malware.clamav', detail: printable(found, 200) }] };
  }
  if (/^INSTREAM size limit exceeded/i.test(answer)) {
    const detail = "clamav: the message is larger than clamd's StreamMaxLength";
    return { verdict: null, score: 0, reasons: [{ code: 'scanner.too_large', detail }] };
  }
  if (answer === 'stream: OK' && isSent) return { verdict: null, score: 0, reasons: [] };
  throw new Error(`clamd answered "${printable(answer, 200)}"${isSent ? '' : ' before it had the message'}`);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('aborted');
}
