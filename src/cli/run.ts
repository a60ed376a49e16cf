import { listPartners } from '../accounts/partners.ts';
import { type App, createApp } from '../app.ts';
import { readConfig } from '../config/config.ts';
import { prepareFolder, prepareHome } from '../config/home.ts';
import { readSecrets } from '../config/secrets.ts';
import { demo } from '../demo/demo.ts';
import type { Values } from './command.ts';
import { createLogger } from './logger.ts';
import { optional } from './values.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Time that the service has to end after a signal: then it is ended the hard way, and the next start recovers. */
const STOP_LIMIT_MS = 4_500;

const DEMO_MESSAGES = 3_000;

/** Runs until a signal comes. */
export async function runServe(values: Values, env: Env): Promise<number> {
  const roles = optional(values, 'roles');
  const config = readConfig(roles === null ? env : { ...env, TOLLGATE_ROLES: roles });
  await prepareHome(config);
  await prepareFolder('the folder of message bodies (BLOB_URL)', config.contentDir);
  const secrets = await readSecrets(config.home, env['TOLLGATE_SECRET_KEY']);
  const stopped = signalled();
  const app = await createApp(config, secrets, { logger: createLogger(config) });
  try {
    const ready = await Promise.race([app.start(), stopped.then(() => null)]);
    if (ready !== null) {
      process.stdout.write(`${JSON.stringify({ ready: true, ...ready })}\n`);
      await hint(app);
      await stopped;
    }
  } finally {
    await stopInTime(app);
  }
  return 0;
}

/** The main job on real mail; `--exit` ends it when it is done. */
export async function runDemo(values: Values, env: Env): Promise<number> {
  const messages = Number(optional(values, 'messages') ?? DEMO_MESSAGES);
  return demo({ env, exit: values['exit'] === true, messages, stopped: signalled() });
}

/** The first SIGINT or SIGTERM; a second one ends the process at once. */
export function signalled(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => process.exit(130));
      });
    }
  });
}

/** Stops the app within the limit. What was answered 250 is on disk and in the database, so a hard end loses nothing. */
export async function stopInTime(app: App): Promise<void> {
  const limit = setTimeout(() => process.exit(1), STOP_LIMIT_MS);
  limit.unref();
  await app.stop();
  clearTimeout(limit);
}

async function hint(app: App): Promise<void> {
  const partners = await app.store.db.system(listPartners, { readOnly: true });
  if (partners.length > 0) return;
  process.stderr.write(
    [
      '',
      'There is no partner yet. In a second terminal:',
      '  npx tollgate partner create --name "My MSP" --json',
      '  npx tollgate client create --partner ID --name "First client" --zone Europe/London --domain client.example --relay mail.client.example:25',
      '  npx tollgate mailbox import --client ID mailboxes.csv',
      '',
    ].join('\n'),
  );
}
