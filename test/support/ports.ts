import { createServer, type Server } from 'node:net';

/** Below the ports that systems give to outgoing connections and to those who ask for any. */
const LOWEST = 10_000;
const SLICES = 49;
const SLICE = 100;

let slice: Promise<number> | undefined;
let next = 0;

/**
 * Listens on a port of 127.0.0.1 that is this process's own, as long as it runs: when the server is closed, nobody answers there,
 * and it can be opened again. Another process would soon be given a port that was any free one. `port` not 0: on this one.
 */
export async function listenOwn(server: Pick<Server, 'once' | 'removeListener' | 'listen'>, port = 0): Promise<number> {
  for (;;) {
    const wanted = port === 0 ? await ownPort() : port;
    const fault = await listening(server, wanted);
    if (fault === null) return wanted;
    if (fault.code !== 'EADDRINUSE') throw fault;
    // The server that had it is about to be closed by the system.
    if (port !== 0) await new Promise<void>((resolve) => setTimeout(resolve, 20));
  }
}

async function ownPort(): Promise<number> {
  slice ??= takeSlice();
  next += 1;
  return (await slice) + 1 + (next % (SLICE - 1));
}

/** The first port of a slice, held while the process lives, says that the slice is taken. */
async function takeSlice(): Promise<number> {
  for (let tries = 0; tries < SLICES; tries += 1) {
    const first = LOWEST + ((process.pid + tries) % SLICES) * SLICE;
    const holder = createServer().unref();
    if ((await listening(holder, first)) === null) return first;
  }
  throw new Error('every slice of ports is taken');
}

function listening(
  server: Pick<Server, 'once' | 'removeListener' | 'listen'>,
  port: number,
): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const failed = (error: Error) => resolve(error);
    server.once('error', failed);
    server.listen(port, '127.0.0.1', () => {
      server.removeListener('error', failed);
      resolve(null);
    });
  });
}
