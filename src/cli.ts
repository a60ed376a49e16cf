import { migrationsFolder } from './app.ts';
import { accountCommands } from './cli/accounts.ts';
import { aggregateCommands } from './cli/aggregate.ts';
import { billingCommands } from './cli/billing.ts';
import { runChecked } from './cli/check.ts';
import type { Command, Described } from './cli/command.ts';
import { digestCommands } from './cli/digest.ts';
import { domainCommands } from './cli/domain.ts';
import { commandHelp, commandsUnder, helpText } from './cli/help.ts';
import { listCommands } from './cli/lists.ts';
import { createLogger } from './cli/logger.ts';
import { lookCommands } from './cli/look.ts';
import { outboundCliCommands } from './cli/outbound.ts';
import { ArgumentError, parseArguments } from './cli/parse.ts';
import { jsonText, printResult } from './cli/print.ts';
import { psaCommands } from './cli/psa.ts';
import { heldMailCommands } from './cli/quarantine.ts';
import { routeCommands } from './cli/routes.ts';
import { runDemo, runServe, signalled } from './cli/run.ts';
import { runSandbox, SANDBOX } from './cli/sandbox.ts';
import { showCommands } from './cli/show.ts';
import { traceCommands } from './cli/trace.ts';
import { wholeOr } from './cli/values.ts';
import { nearest } from './cli/words.ts';
import { readConfig } from './config/config.ts';
import { prepareHome } from './config/home.ts';
import { packageVersion } from './config/root.ts';
import { readSecrets } from './config/secrets.ts';
import { systemClock } from './core/clock.ts';
import { AppError, errorCode, publicMessage } from './core/errors.ts';
import { openStore } from './db/store.ts';

/** sysexits.h, and graphile-worker's 57 for a schema that is newer than the program. */
const EXIT = { ok: 0, failed: 1, usage: 64, config: 78, newer: 57 } as const;

/** All commands beside `serve` and `demo`, by name. */
export const COMMANDS: readonly Command[] = [
  ...accountCommands,
  ...listCommands,
  ...outboundCliCommands,
  ...routeCommands,
  ...domainCommands,
  ...psaCommands,
  ...billingCommands,
  ...digestCommands,
  ...showCommands,
  ...traceCommands,
  ...heldMailCommands,
  ...lookCommands,
  ...aggregateCommands,
].toSorted((a, b) => Number(a.name > b.name) - Number(a.name < b.name));

type Env = Readonly<Record<string, string | undefined>>;

/** Runs the command line and answers with the exit code. Results go to standard output, everything else to standard error. */
export async function main(argv: readonly string[], env: Env): Promise<number> {
  const [first, second] = argv;
  if (first === '--version') {
    process.stdout.write(`${packageVersion()}\n`);
    return EXIT.ok;
  }
  try {
    const asked = first === 'help' ? argv.slice(1) : argv.some((one) => one === '--help' || one === '-h') ? argv : null;
    if (first === undefined || asked !== null) {
      process.stdout.write(helpFor((asked ?? []).filter((one) => !one.startsWith('-'))));
      return first === undefined ? EXIT.usage : EXIT.ok;
    }
    if (first === 'serve') return await runServe(parseArguments(SERVE, argv.slice(1)).values, env);
    if (first === 'demo') return await runDemo(parseArguments(DEMO, argv.slice(1)).values, env);
    if (first === 'sandbox') return await runSandbox(parseArguments(SANDBOX, argv.slice(1)).values, signalled());
    const named = (name: string) => COMMANDS.find((one) => one.name === name);
    const command = named(`${first} ${second ?? ''}`) ?? named(first);
    if (command === undefined) throw unknownCommand([first, second].filter((one) => one?.startsWith('-') === false));
    return await runCommand(command, argv.slice(command.name.split(' ').length), env);
  } catch (error) {
    return report(error, argv.includes('--json'));
  }
}

const SERVE: Described = {
  name: 'serve',
  usage: '[--roles gateway,api,worker]',
  summary: 'run the service; one at a time in a folder',
  options: { roles: { type: 'string' } },
  notes: 'It prints one line of JSON when it accepts work, and ends at Ctrl-C or SIGTERM.',
};
const DEMO: Described = {
  name: 'demo',
  usage: '[--exit] [--messages N]',
  summary: 'the main job on real mail',
  options: {
    exit: { type: 'boolean' },
    messages: { type: 'string', check: (values, name) => wholeOr(values, name, 0, [1, 1_000_000]) },
  },
  notes: '3,000 messages unless --messages says otherwise; --exit ends it when it is done, 1 when a check failed.',
};
/** Those and `serve`, `demo` and `sandbox`, which run until they are ended. */
export const DESCRIBED: readonly Described[] = [SERVE, DEMO, SANDBOX, ...COMMANDS];

/** Help of what the words name: one command, a group of them, or all. */
function helpFor(words: readonly string[]): string {
  if (words.length === 0) return helpText(DESCRIBED);
  for (const count of [2, 1]) {
    const found = commandsUnder(DESCRIBED, words.slice(0, count));
    if (found.length === 1 && found[0] !== undefined) return commandHelp(found[0]);
    if (found.length > 1) return helpText(found);
  }
  throw unknownCommand(words.slice(0, 2));
}

function unknownCommand(words: readonly (string | undefined)[]): ArgumentError {
  const text = words.filter(Boolean).join(' ');
  const group = commandsUnder(DESCRIBED, words.slice(0, 1).map(String));
  const near = nearest(
    text,
    DESCRIBED.map((one) => one.name),
  );
  const hint =
    near !== null
      ? `; did you mean "${near}"?`
      : group.length > 0
        ? `; there are ${group.map((one) => one.name).join(', ')}`
        : '; tollgate help lists them';
  return new ArgumentError('usage', [{ option: null, message: `there is no command "${text}"${hint}` }]);
}

async function runCommand(command: Command, args: readonly string[], env: Env): Promise<number> {
  const { values, positionals } = parseArguments(command, args);
  const config = readConfig(env);
  await prepareHome(config);
  const secrets = await readSecrets(config.home, env['TOLLGATE_SECRET_KEY']);
  const logger = createLogger(config);
  await using store = await openStore({
    databaseUrl: config.databaseUrl,
    home: config.home,
    migrationsFolder: migrationsFolder(),
    passwords: { app: secrets.appPassword, system: secrets.systemPassword },
    clock: systemClock,
    logger,
    maxConnections: 4,
  });
  const context = { config, secrets, clock: systemClock, logger, store };
  const result = await runChecked(command, context, values, positionals);
  printResult(result, values['json'] === true);
  return result.exitCode ?? EXIT.ok;
}

function report(error: unknown, json: boolean): number {
  const isUsage = error instanceof ArgumentError && error.kind === 'usage';
  const message = error instanceof ArgumentError ? error.message : publicMessage(error);
  const code = error instanceof ArgumentError ? (isUsage ? 'usage' : 'invalid_input') : errorCode(error);
  const faults = error instanceof ArgumentError ? { faults: error.faults } : {};
  if (json) process.stderr.write(`${jsonText({ error: { code, message, ...faults } })}\n`);
  else process.stderr.write(message.includes('\n') ? `tollgate:\n${indent(message)}\n` : `tollgate: ${message}\n`);
  // An internal fault is ours: the person at the terminal needs the stack to report it.
  if (code === 'internal' && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  if (isUsage) return EXIT.usage;
  if (error instanceof AppError && error.code === 'config_invalid') return EXIT.config;
  return error instanceof AppError && error.code === 'schema_newer' ? EXIT.newer : EXIT.failed;
}

const indent = (text: string) => text.replace(/^/gm, '  ');
