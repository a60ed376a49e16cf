import { connect, type Socket } from 'node:net';

export interface HttpRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  /** Milliseconds of each request, in no order. */
  readonly latencies: readonly number[];
}

/**
 * Asks over kept connections, each one request after the other, for a time or a number of requests, and throws at the first
 * answer that is not 200 or that `check` refuses. A client of our own: a few writes and reads on sockets, so that it takes little of the
 * processors that the measured server shares with it.
 */
export async function load(
  port: number,
  requests: readonly HttpRequest[],
  options: { readonly connections: number; readonly seconds?: number; readonly count?: number },
  check: (body: string) => boolean = () => true,
): Promise<LoadResult> {
  const raw = requests.map(rawRequest);
  const latencies: number[] = [];
  const begun = performance.now();
  const until = options.seconds === undefined ? Number.POSITIVE_INFINITY : begun + options.seconds * 1_000;
  const most = options.count ?? Number.POSITIVE_INFINITY;
  let next = 0;
  const worker = async () => {
    const line = await Line.open(port);
    try {
      while (next < most && performance.now() < until) {
        const request = raw[next % raw.length];
        next += 1;
        if (request === undefined) throw new Error('there is nothing to ask');
        const at = performance.now();
        const { status, body } = await line.ask(request);
        latencies.push(performance.now() - at);
        if (status !== 200 || !check(body)) throw new Error(`answered ${status}: ${body.slice(0, 300)}`);
      }
    } finally {
      line.close();
    }
  };
  await Promise.all(Array.from({ length: options.connections }, worker));
  const seconds = (performance.now() - begun) / 1_000;
  return { requests: latencies.length, perSecond: latencies.length / seconds, latencies };
}

/** One request on a connection of its own. */
export async function askOnce(port: number, request: HttpRequest): Promise<{ status: number; body: string }> {
  const line = await Line.open(port);
  try {
    return await line.ask(rawRequest(request));
  } finally {
    line.close();
  }
}

function rawRequest({ path, headers, body }: HttpRequest): Buffer {
  const lines = Object.entries({ host: '127.0.0.1', ...headers, 'content-length': `${Buffer.byteLength(body)}` });
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`,
  );
}

class Line {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #size = 0;
  /** Octets of the whole answer, once its header is there. */
  #wanted: number | null = null;
  #headerEnd = 0;
  #waiting: { resolve: (answer: { status: number; body: string }) => void; reject: (error: Error) => void } | null =
    null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#waiting?.reject(error));
    socket.on('close', () => this.#waiting?.reject(new Error('the server hung up')));
  }

  static open(port: number): Promise<Line> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(new Line(socket)));
      socket.once('error', reject);
    });
  }

  ask(request: Buffer): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#waiting = null;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#wanted === null) this.#readHeader();
    if (this.#wanted === null || this.#size < this.#wanted) return;
    const answer = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#size = 0;
    this.#wanted = null;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve({
      status: Number(answer.toString('latin1', 9, 12)),
      body: answer.toString('utf8', this.#headerEnd),
    });
  }

  #readHeader(): void {
    const sofar = Buffer.concat(this.#chunks);
    const end = sofar.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = /\r\ncontent-length: (\d+)/i.exec(sofar.toString('latin1', 0, end))?.[1];
    if (length === undefined) {
      this.#waiting?.reject(new Error('an answer without content-length'));
      return;
    }
    this.#headerEnd = end + 4;
    this.#wanted = this.#headerEnd + Number(length);
  }
}
