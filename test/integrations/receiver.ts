import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface Receiver {
  readonly url: string;
  readonly calls: { path: string; headers: IncomingHttpHeaders; body: string }[];
  /** The status that it answers with. */
  answer: number;
}

/** A server that a PSA's callbacks go to. */
export async function receiver(t: TestContext): Promise<Receiver> {
  const calls: Receiver['calls'] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      calls.push({
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      });
      response.writeHead(self.answer, { connection: 'close' }).end();
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  t.after(() => new Promise((done) => server.close(done)));
  const self: Receiver = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls, answer: 200 };
  return self;
}
