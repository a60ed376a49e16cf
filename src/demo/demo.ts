import { createServer } from 'node:net';
import path from 'node:path';
import { type App, createApp, type Ready } from '../app.ts';
import { createLogger } from '../cli/logger.ts';
import { type Config, readConfig } from '../config/config.ts';
import { prepareHome } from '../config/home.ts';
import { readSecrets, type Secrets } from '../config/secrets.ts';
import { claimFolder } from '../db/claim.ts';
import { startEmbedded } from '../db/embedded.ts';
import { scratchDatabase } from '../db/scratch.ts';
import { zoneResolver } from '../mail/resolver.ts';
import { Api } from './api.ts';
import { billUsage } from './billing.ts';
import { Checks } from './checks.ts';
import { loadCorpus } from './corpus.ts';
import { playOutage } from './outage.ts';
import { issueReports } from './reports.ts';
import { type Say, sayTo } from './say.ts';
import { sendMail } from './sending.ts';
import { type DemoWorld, setUpWorld } from './setup.ts';
import { specialMails } from './special.ts';
import { compareStatistics } from './statistics.ts';
import { renderTable } from './table.ts';
import { CLIENT_PLANS } from './world.ts';

export interface DemoOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** End when done instead of serving on. */
  readonly exit: boolean;
  readonly messages: number;
  /** Resolves when the person wants an end. */
  readonly stopped: Promise<unknown>;
}

const STOP_LIMIT_MS = 4_500;
/** Databases of earlier runs are removed by it. */
const DATABASE_PREFIX = 'tollgate_demo';

/**
 * The main job on real mail: accounts, mail in, filter, delivery with a server that is down for a while, statistics that must
 * equal the ledger and what was sent, reports, billing. Answers with the exit code: 1 when anything differs.
 */
export async function demo(options: DemoOptions): Promise<number> {
  const say = sayTo(process.stdout);
  const given = readConfig(options.env);
  const home = path.join(given.home, 'demo');
  await prepareHome({ home, databaseUrl: null });
  say.title('Tollgate demo');
  say.line(`  files under ${home}`);
  const giveBack = await claimFolder(home);
  const server = await startEmbedded(home);
  let app: App | null = null;
  let world: DemoWorld | null = null;
  const end = async () => {
    const limit = setTimeout(() => process.exit(1), STOP_LIMIT_MS);
    limit.unref();
    // Sinks first: delivery to them must not hold the shutdown up.
    await world?.[Symbol.asyncDispose]();
    await app?.stop();
    await server.stop({ force: true });
    await giveBack();
    clearTimeout(limit);
  };
  try {
    const databaseUrl = await scratchDatabase(server.ownerUrl, DATABASE_PREFIX, `${DATABASE_PREFIX}_${Date.now()}`);
    const config = await demoConfig(given, home, databaseUrl, options.env, say);
    const secrets = await readSecrets(home, options.env['TOLLGATE_SECRET_KEY']);
    // No name server: the demo's senders publish nothing, so mail is neither authenticated nor refused for it.
    app = await createApp(config, secrets, { logger: createLogger(config), resolver: zoneResolver({}) });
    const run = play(app, secrets, options.messages, say, (made) => {
      world = made;
    });
    const outcome = await Promise.race([run, options.stopped.then(() => 'stopped' as const)]);
    if (outcome === 'stopped') {
      run.catch(() => undefined);
      say.line('\n  stopped');
      return 130;
    }
    const { checks, ready, apiKey, clientId } = outcome;
    say.title(checks.failed === 0 ? 'Everything is as expected' : `${checks.failed} checks failed`);
    say.line(checks.render());
    if (options.exit) return checks.failed === 0 ? 0 : 1;
    say.line(goodbye(ready, apiKey, clientId));
    await options.stopped;
    return checks.failed === 0 ? 0 : 1;
  } finally {
    await end();
  }
}

async function play(app: App, secrets: Secrets, messages: number, say: Say, made: (world: DemoWorld) => void) {
  const checks = new Checks();
  const started = new Date();
  const ready = await app.start();
  const { http, smtp } = ready;
  if (http === undefined || smtp === undefined) throw new Error('the demo needs all roles');
  say.line(`  SMTP ${smtp}   HTTP ${http}`);

  const world = await setUpWorld(app, secrets);
  made(world);
  say.title('1  A partner with four clients');
  say.line(
    renderTable(
      ['client', 'zone', 'domain', 'mailboxes', 'PSA'],
      world.clients.map((client) => [client.name, client.zone, client.domain, client.mailboxes.length, client.psa]),
    ),
  );

  const api = new Api(http, world.apiKey);
  const mails = await loadCorpus(messages);
  const special = await specialMails();
  const outage = await playOutage(app, world, api, checks, say);
  const sent = await sendMail(app, world, smtp, mails, special, checks, say);
  await outage.finish();
  await compareStatistics({ app, world, api, sent, started }, checks, say);
  // Before the reports: they show the usage that is billed after them.
  await app.runNow('usage.snapshot');
  await issueReports(app, world, api, checks, say);
  await billUsage(app, world, api, checks, say);
  return { checks, ready, apiKey: world.apiKey, clientId: world.clients[0]?.id ?? '' };
}

/** The settings, changed for a demo: everything private is on loopback, and what takes hours in earnest takes seconds. */
async function demoConfig(
  given: Config,
  home: string,
  databaseUrl: string,
  env: DemoOptions['env'],
  say: Say,
): Promise<Config> {
  const ports = { httpPort: given.httpPort, smtpPort: given.smtpPort, submissionPort: given.submissionPort };
  for (const [name, variable] of [
    ['httpPort', 'HTTP_PORT'],
    ['smtpPort', 'SMTP_PORT'],
    ['submissionPort', 'SUBMISSION_PORT'],
  ] as const) {
    // A port that was asked for must be had; a default one gives way to whatever uses it.
    if (env[variable] !== undefined || (await isFree(given.bindHost, ports[name]))) continue;
    say.line(`  port ${ports[name]} is in use; a free one is taken for ${variable}`);
    ports[name] = 0;
  }
  return {
    ...given,
    ...ports,
    home,
    databaseUrl,
    contentDir: path.join(home, 'content'),
    allowPrivateHosts: [...given.allowPrivateHosts, '127.0.0.1', 'localhost'],
    roles: ['gateway', 'api', 'worker'],
    maxConnectionsPerIp: 500,
    directoryGraceSeconds: 0,
    serverDownSeconds: 1,
    reportWaitSeconds: 0,
    logLevel: env['TOLLGATE_LOG'] === undefined ? 'error' : given.logLevel,
  };
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
}

function goodbye(ready: Ready, apiKey: string, clientId: string): string {
  const month = new Date().toISOString().slice(0, 7);
  return [
    '',
    `  GraphiQL  ${ready.http}/graphiql`,
    `  SMTP      ${ready.smtp}   (a recipient: ${CLIENT_PLANS[0]?.people[0]?.toLowerCase().replace(' ', '.')}@${CLIENT_PLANS[0]?.domain})`,
    `  API key   ${apiKey}`,
    '',
    '  Three queries to paste:',
    '    { viewer { partner { id name } } clients(first: 50) { edges { node { id name timeZone } } } }',
    `    { client(id: "${clientId}") { statistics(from: "${month}-01", to: "${month}-28", granularity: DAY) { complete completeThrough totals { messages deliveries byVerdict { verdict deliveries } } } } }`,
    '    { quarantine(first: 5) { edges { node { sender subject delivery { recipient verdict reasons { code detail } } } } } }',
    '',
    '  Ctrl-C ends it.',
    '',
  ].join('\n');
}
