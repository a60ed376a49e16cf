import { createHmac, randomBytes } from 'node:crypto';
import { link, open, readFile, unlink } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../core/errors.ts';
import { prepareFolder } from './home.ts';

/** Keys derived from the one secret. They are never logged and never in Config. */
export interface Secrets {
  /** Seals PSA credentials and DKIM keys (AES-256-GCM). */
  readonly sealKey: Buffer;
  /** Passwords of the two database roles. */
  readonly appPassword: string;
  readonly systemPassword: string;
  /** Signs links and release tokens. */
  readonly signKey: Buffer;
  /** Signs rewritten senders of forwarded mail. */
  readonly srsKey: Buffer;
}

/** What is said of a key that is none. */
export const NO_KEY = 'TOLLGATE_SECRET_KEY is not 32 bytes as hex or base64';

/** Takes TOLLGATE_SECRET_KEY (32 bytes as hex or base64), or makes a key once under `home`. Throws `config_invalid`. */
export async function readSecrets(home: string, given: string | undefined): Promise<Secrets> {
  const key = given === undefined || given === '' ? await keyUnder(home) : decodeKey(given);
  if (key === null) {
    throw new AppError('config_invalid', NO_KEY);
  }
  const derive = (use: string) => createHmac('sha256', key).update(`tollgate ${use}`).digest();
  return {
    sealKey: derive('seal'),
    appPassword: derive('app role').toString('hex'),
    systemPassword: derive('system role').toString('hex'),
    signKey: derive('sign'),
    srsKey: derive('srs'),
  };
}

/** 32 bytes; null: the text is not that. */
export function decodeKey(text: string): Buffer | null {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 ? bytes : null;
}

/** The key of a home: made once, whole from the first moment that its name can be seen. */
async function keyUnder(home: string): Promise<Buffer> {
  await prepareFolder('TOLLGATE_HOME', home);
  const file = path.join(home, 'secret.key');
  const text = (await readKey(file)) ?? (await makeKey(home, file));
  const key = decodeKey(text.trim());
  if (key === null) {
    throw new AppError(
      'config_invalid',
      `the key file is not 32 bytes as hex or base64: ${file} (put the key of its backup there, or set TOLLGATE_SECRET_KEY)`,
    );
  }
  return key;
}

async function readKey(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new AppError('config_invalid', `the key of TOLLGATE_HOME can't be read: ${String(code)} ${file}`, {
      cause: error,
    });
  }
}

/**
 * Of several starting processes one makes the key and all read that one. It is written under another name and linked to
 * its own, which fails when the name is taken: a reader never meets an empty file, nor does a start after a crash here.
 */
async function makeKey(home: string, file: string): Promise<string> {
  const draft = path.join(home, `secret.key.${randomBytes(6).toString('hex')}`);
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(`${randomBytes(32).toString('hex')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await link(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(draft);
  }
  const folder = await open(home, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return await readFile(file, 'utf8');
}
