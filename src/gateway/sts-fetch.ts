import { request } from 'node:https';
import type { Resolver } from '../mail/resolver.ts';
import { addressOf } from './hosts.ts';

export interface StsFetchOptions {
  readonly resolver: Resolver;
  readonly allowPrivateHosts: readonly string[];
  /** 443 except in tests. */
  readonly port?: number;
  /** Further certificate authority, PEM, for tests. */
  readonly ca?: string | undefined;
  readonly deadlineMs?: number;
}

const BYTES_MAX = 65_536;

/**
 * Answers the text of a domain's MTA-STS policy file over HTTPS (RFC 8461 section 3.3): from a public address only, with a
 * certificate valid for `mta-sts.<domain>`, status 200 and text/plain, no redirects, at most 64 KB in 60 s. Rejects otherwise.
 */
export function stsFetcher(options: StsFetchOptions): (domain: string) => Promise<string> {
  return async (domain) => {
    const signal = AbortSignal.timeout(options.deadlineMs ?? 60_000);
    const host = `mta-sts.${domain}`;
    const address = await addressOf(host, options.resolver, options.allowPrivateHosts);
    return new Promise<string>((resolve, reject) => {
      const asked = request({
        host: address,
        servername: host,
        port: options.port ?? 443,
        path: '/.well-known/mta-sts.txt',
        headers: { host, accept: 'text/plain', 'user-agent': 'Tollgate' },
        agent: false,
        rejectUnauthorized: true,
        maxHeaderSize: 16_384,
        signal,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
      });
      const give = (why: string) => {
        reject(new Error(`${host} ${why}`));
        asked.destroy();
      };
      asked.on('error', (error) => reject(signal.aborted ? new Error(`${host} did not answer in time`) : error));
      asked.on('response', (answer) => {
        if (answer.statusCode !== 200) return give(`answered with status ${answer.statusCode ?? 0}`);
        if (!/^text\/plain\s*(;|$)/i.test(answer.headers['content-type'] ?? '')) return give('sent no text/plain');
        const chunks: Buffer[] = [];
        let bytes = 0;
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > BYTES_MAX) give(`sent more than ${BYTES_MAX} octets`);
          else chunks.push(chunk);
        });
        answer.on('error', reject);
        answer.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
      });
      asked.end();
    });
  };
}
