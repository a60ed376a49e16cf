import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

const LOWEST = 15_000;
const USUAL_RANGE = 32_768;
const TRIES = 50;

/**
 * A free port of 127.0.0.1 from below the range that the system takes the ports of outgoing connections from: a server that
 * is started again on its port then finds it free, and who connects to it meanwhile does not connect to itself. Where there is
 * no room below, any port that is free.
 */
export async function freePort(): Promise<number> {
  const end = await outgoingRange();
  for (let tries = 0; tries < TRIES && end > LOWEST + TRIES; tries += 1) {
    const port = LOWEST + Math.floor(Math.random() * (end - LOWEST));
    if ((await tryPort(port)) !== null) return port;
  }
  const any = await tryPort(0);
  if (any === null) throw new Error('no port of 127.0.0.1 is free');
  return any;
}

/** Where the ports of outgoing connections begin (Linux: ip_local_port_range; elsewhere they begin at 49152 or are the same). */
export async function outgoingRange(): Promise<number> {
  const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '');
  const begin = Number.parseInt(text, 10);
  return begin > 0 ? begin : USUAL_RANGE;
}

/** The port when it could be listened on; null when not. 0 is any. */
function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(bound));
    });
  });
}
