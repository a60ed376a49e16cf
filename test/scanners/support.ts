import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { ScanTask } from '../../src/core/filter.ts';
import { envelope } from '../support/pipeline.ts';

/** A message in a file of its own. */
export function taskOf(t: TestContext, raw: string | Buffer, over: Partial<ScanTask> = {}): ScanTask {
  const folder = folderOf(t);
  const file = path.join(folder, 'message.eml');
  writeFileSync(file, raw);
  const bytes = Buffer.byteLength(raw);
  return { path: file, bytes, envelope: envelope(), recipients: ['bob@client.example'], ...over };
}

export function folderOf(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'scan-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A server on 127.0.0.1, or on a socket in the file system, that gives each connection to `serve`. */
export async function listen(t: TestContext, serve: (socket: Socket) => void, file?: string): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => {
    if (file === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(file, resolve);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** What an INSTREAM holds: its chunks' sizes and its message; null while it is not complete. */
export function instream(bytes: Buffer): { sizes: number[]; message: Buffer } | null {
  const command = 'zINSTREAM\0';
  if (bytes.length < command.length) return null;
  if (bytes.toString('latin1', 0, command.length) !== command) throw new Error('not INSTREAM');
  const sizes: number[] = [];
  const parts: Buffer[] = [];
  let at = command.length;
  while (at + 4 <= bytes.length) {
    const size = bytes.readUInt32BE(at);
    at += 4;
    if (size === 0) return { sizes, message: Buffer.concat(parts) };
    if (at + size > bytes.length) return null;
    parts.push(bytes.subarray(at, at + size));
    sizes.push(size);
    at += size;
  }
  return null;
}

/** Calls `done` with the whole INSTREAM of a connection. */
export function onInstream(socket: Socket, done: (stream: { sizes: number[]; message: Buffer }) => void): void {
  let bytes = Buffer.alloc(0);
  socket.on('data', (part: Buffer) => {
    bytes = Buffer.concat([bytes, part]);
    const stream = instream(bytes);
    if (stream !== null) done(stream);
  });
}
