import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { AppError } from '../core/errors.ts';

/** Where the certificate of the SMTP ports lies: PEM files, the certificate with its chain. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const BYTES_MAX = 1_000_000;

/** Reads the certificate and its key, and tries them on each other. Throws `config_invalid` with a line per fault. */
export function readCertificate(files: CertificateFiles): Certificate {
  const faults: string[] = [];
  const cert = readText('TOLLGATE_TLS_CERT', files.certFile, faults);
  const key = readText('TOLLGATE_TLS_KEY', files.keyFile, faults);
  const leaf = parse(
    'TOLLGATE_TLS_CERT holds no certificate in PEM',
    cert,
    faults,
    (text) => new X509Certificate(text),
  );
  const secret = parse('TOLLGATE_TLS_KEY holds no private key in PEM without a passphrase', key, faults, (text) =>
    createPrivateKey(text),
  );
  if (leaf !== null && secret !== null) {
    if (!leaf.checkPrivateKey(secret)) faults.push('TOLLGATE_TLS_KEY is not the key of TOLLGATE_TLS_CERT');
    else
      parse('TOLLGATE_TLS_CERT can not be used', cert, faults, () =>
        createSecureContext({ cert: cert ?? '', key: key ?? '' }),
      );
  }
  if (cert === null || key === null || faults.length > 0) throw new AppError('config_invalid', faults.join('\n'));
  return { cert, key };
}

function readText(name: string, file: string, faults: string[]): string | null {
  try {
    if (statSync(file).size <= BYTES_MAX) return readFileSync(file, 'utf8');
    faults.push(`${name} is too large a file to be one`);
  } catch (error) {
    faults.push(`${name} can not be read: ${(error as NodeJS.ErrnoException).code ?? 'failure'} ${file}`);
  }
  return null;
}

function parse<T>(fault: string, text: string | null, faults: string[], read: (text: string) => T): T | null {
  if (text === null) return null;
  try {
    return read(text);
  } catch {
    faults.push(fault);
    return null;
  }
}
