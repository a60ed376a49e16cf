import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../../src/config/root.ts';

const folder = path.join(packageRoot(), 'test/fixtures/tls');
const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');

/** The authority of both certificates, which no system knows. */
export const CA = read('ca.cert.pem');
/** For mx.far.example, mta-sts.far.example, mx.tollgate.example, localhost and 127.0.0.1, until 2126. */
export const SERVER = { key: read('server.key.pem'), cert: read('server.cert.pem') };
/** For mx.other.example. */
export const OTHER = { key: read('other.key.pem'), cert: read('other.cert.pem') };

export const file = (name: string) => path.join(folder, name);
