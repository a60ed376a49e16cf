import type { Server, Socket } from 'node:net';

export interface ConnectionLimits {
  readonly maxPerIp: number;
  /** Milliseconds in which a command must come to its end, slow drips included (RFC 5321 section 4.5.3.2.7: 5 minutes). */
  readonly commandMs: number;
  /** Milliseconds for a whole connection. */
  readonly sessionMs: number;
  /** Octets a second that a message must come with, after `dataGraceMs` (Postfix smtpd_min_data_rate: 500). */
  readonly minDataRate: number;
  readonly dataGraceMs: number;
}

export const DEFAULT_LIMITS: Omit<ConnectionLimits, 'maxPerIp'> = {
  commandMs: 300_000,
  sessionMs: 3_600_000,
  minDataRate: 500,
  dataGraceMs: 20_000,
};

interface Watched {
  readonly socket: Socket;
  readonly ip: string;
  readonly port: number;
  readonly since: number;
  /** When the last command ended. */
  progress: number;
  data: { since: number; from: number } | null;
  /** The message is here and being decided: the client waits for us, not we for it. */
  working: boolean;
}

const TICK_MS = 1_000;

/**
 * Closes connections that come too many from one address, too slow or too long: smtp-server's own time-out starts anew with
 * every octet. Time here is the monotonic clock, since a clock that is set forward must not end sessions.
 */
export class ConnectionGuard {
  readonly #limits: ConnectionLimits;
  readonly #watched = new Map<string, Watched>();
  readonly #perIp = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  readonly #speaking: (ip: string, port: number) => Socket | null;
  readonly #now: () => number;

  /** `speaking`: what a reply to a peer is written to, which under TLS is not the socket that was accepted; null: nothing now. */
  constructor(
    server: Server,
    limits: ConnectionLimits,
    speaking: (ip: string, port: number) => Socket | null,
    monotonic: () => number = () => performance.now(),
  ) {
    this.#now = monotonic;
    this.#limits = limits;
    this.#speaking = speaking;
    server.on('connection', (socket: Socket) => this.#watch(socket));
    this.#timer = setInterval(() => this.#check(), Math.min(TICK_MS, limits.commandMs / 2));
    this.#timer.unref();
  }

  /** Whether an address holds more connections than it may. */
  isOver(ip: string): boolean {
    return (this.#perIp.get(plainIp(ip)) ?? 0) > this.#limits.maxPerIp;
  }

  /** A command of the connection ended. */
  progress(ip: string, port: number): void {
    const one = this.#watched.get(key(ip, port));
    if (one === undefined) return;
    one.progress = this.#now();
    one.data = null;
    one.working = false;
  }

  dataStarts(ip: string, port: number): void {
    const one = this.#watched.get(key(ip, port));
    if (one !== undefined) one.data = { since: this.#now(), from: one.socket.bytesRead };
  }

  dataEnds(ip: string, port: number): void {
    const one = this.#watched.get(key(ip, port));
    if (one === undefined) return;
    one.data = null;
    one.working = true;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #watch(socket: Socket): void {
    const ip = plainIp(socket.remoteAddress ?? '');
    const port = socket.remotePort ?? 0;
    const name = key(ip, port);
    const now = this.#now();
    this.#watched.set(name, { socket, ip, port, since: now, progress: now, data: null, working: false });
    this.#perIp.set(ip, (this.#perIp.get(ip) ?? 0) + 1);
    socket.once('close', () => {
      this.#watched.delete(name);
      const left = (this.#perIp.get(ip) ?? 1) - 1;
      if (left > 0) this.#perIp.set(ip, left);
      else this.#perIp.delete(ip);
    });
  }

  #check(): void {
    const now = this.#now();
    for (const one of this.#watched.values()) {
      if (one.working || !this.#isLate(one, now)) continue;
      // Words in plain text within TLS, or within its handshake, would be rubbish to the client: then it is closed without.
      const speaking = this.#speaking(one.ip, one.port);
      speaking?.write('421 4.4.2 Too slow, closing the connection\r\n');
      (speaking ?? one.socket).destroySoon();
    }
  }

  #isLate(one: Watched, now: number): boolean {
    if (now - one.since > this.#limits.sessionMs) return true;
    if (one.data === null) return now - one.progress > this.#limits.commandMs;
    const ms = now - one.data.since;
    if (ms < this.#limits.dataGraceMs) return false;
    return (one.socket.bytesRead - one.data.from) / (ms / 1000) < this.#limits.minDataRate;
  }
}

/** An IPv4 address in IPv6 clothes is IPv4. */
export function plainIp(ip: string): string {
  return ip.replace(/^::ffff:/i, '').toLowerCase();
}

function key(ip: string, port: number): string {
  return `${plainIp(ip)} ${port}`;
}
