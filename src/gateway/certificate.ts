import { unwatchFile, watchFile } from 'node:fs';
import type { Logger } from '../core/log.ts';

export interface CertificateWatch<C> {
  readonly files: readonly string[];
  /** Reads and checks the certificate; throws when it is no good. */
  read(): C;
  use(certificate: C): void;
  readonly logger: Logger;
  /** Milliseconds between looks. */
  readonly everyMs?: number;
}

/**
 * Takes a new certificate up when its files change; connections that are open keep the old one. What can't be read, or does
 * not fit together since only one of the files was written yet, changes nothing. Answers with the function that stops it.
 */
export function watchCertificate<C>({ files, read, use, logger, everyMs = 5_000 }: CertificateWatch<C>): () => void {
  const changed = (): void => {
    try {
      use(read());
      logger.info({ files }, 'a new certificate is in use');
    } catch (error) {
      logger.warn({ files, err: error }, 'the new certificate can not be used, the old one stays');
    }
  };
  for (const file of files) watchFile(file, { interval: everyMs, persistent: false }, changed);
  return () => {
    for (const file of files) unwatchFile(file, changed);
  };
}
