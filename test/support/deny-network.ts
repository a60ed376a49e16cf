import dns from 'node:dns';
import net from 'node:net';
import { networkInterfaces } from 'node:os';

/** Preloaded into every test process: any connection or look-up that leaves this machine fails the test loudly. */
const own = new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((one) => one.address)));
const isLoopback = (host: string) => host === 'localhost' || /^127\./.test(host) || own.has(host) || host === '::1';

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function guarded(this: net.Socket, ...args: unknown[]) {
  const first = Array.isArray(args[0]) ? args[0][0] : args[0];
  const options =
    typeof first === 'object' && first !== null ? (first as { host?: string; path?: string; port?: number }) : {};
  const host = options.host ?? (typeof args[1] === 'string' ? args[1] : 'localhost');
  if (options.path === undefined && !isLoopback(host)) {
    throw new Error(`a test tried to connect to ${host}:${options.port ?? ''}`);
  }
  return Reflect.apply(connect, this, args) as net.Socket;
} as typeof connect;

const lookup = dns.lookup;
const guardedLookup = ((host: string, ...rest: unknown[]) => {
  const callback = rest.at(-1) as (error: NodeJS.ErrnoException) => void;
  if (!isLoopback(host) && net.isIP(host) === 0) {
    process.nextTick(() =>
      callback(Object.assign(new Error(`a test tried to look up ${host}`), { code: 'ENOTFOUND' })),
    );
    return;
  }
  Reflect.apply(lookup, dns, [host, ...rest]);
}) as typeof lookup;
dns.lookup = guardedLookup;
