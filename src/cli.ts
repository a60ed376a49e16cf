import { parseArgs } from 'node:util';
import { migrationsFolder } from './app.ts';
import { accountCommands } from './cli/accounts.ts';
import { aggregateCommands } from './cli/aggregate.ts';
import type { Command, Values } from './cli/command.ts';
import { digestCommands } from './cli/digest.ts';
import { domainCommands } from './cli/domain.ts';
import { listCommands } from './cli/lists.ts';
import { createLogger } from './cli/logger.ts';
import { outboundCliCommands } from './cli/outbound.ts';
import { printResult } from './cli/print.ts';
import { routeCommands } from './cli/routes.ts';
import { runDemo, runServe } from './cli/run.ts';
import { readConfig } from './config/config.ts';
import { packageVersion } from './config/root.ts';
import { readSecrets } from './config/secrets.ts';
import { systemClock } from './core/clock.ts';
import { AppError, errorCode, publicMessage } from './core/errors.ts';
import { openStore } from './db/store.ts';

/** sysexits.h, and graphile-worker's 57 for a schema that is newer than the program. */
const EXIT = { ok: 0, failed: 1, usage: 64, config: 78, newer: 57 } as const;

const COMMANDS: readonly Command[] = [
  ...accountCommands,
  ...listCommands,
  ...outboundCliCommands,
  ...routeCommands,
  ...domainCommands,
  ...digestCommands,
  ...aggregateCommands,
];

type Env = Readonly<Record<string, string | undefined>>;

/** Runs the command line and answers with the exit code. Results go to standard output, everything else to standard error. */
export async function main(argv: readonly string[], env: Env): Promise<number> {
  const [first, second] = argv;
  if (first === undefined || first === 'help' || argv.includes('--help')) {
    process.stdout.write(helpText());
    return first === undefined ? EXIT.usage : EXIT.ok;
  }
  if (first === '--version') {
    process.stdout.write(`${packageVersion()}\n`);
    return EXIT.ok;
  }
  try {
    if (first === 'serve') return await runServe(argv.slice(1), env);
    if (first === 'demo') return await runDemo(argv.slice(1), env);
    const command = COMMANDS.find((one) => one.name === first || one.name === `${first} ${second ?? ''}`);
    if (command === undefined)
      throw new UsageError(`there is no command "${[first, second].filter(Boolean).join(' ')}"`);
    return await runCommand(command, argv.slice(command.name.split(' ').length), env);
  } catch (error) {
    return report(error, argv.includes('--json'));
  }
}

class UsageError extends Error {}

async function runCommand(command: Command, args: readonly string[], env: Env): Promise<number> {
  const { values, positionals } = parse(command, args);
  const config = readConfig(env);
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
  const result = await command.run({ config, secrets, clock: systemClock, logger, store }, values, positionals);
  printResult(result.output, values['json'] === true);
  return result.exitCode ?? EXIT.ok;
}

function parse(command: Command, args: readonly string[]): { values: Values; positionals: readonly string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...command.options, json: { type: 'boolean' } },
      allowPositionals: true,
      strict: true,
    });
    const wanted = command.positionals ?? [];
    // The last may stand for several: FILE...
    const isOpen = wanted.at(-1)?.endsWith('...') === true;
    if (isOpen ? positionals.length < wanted.length : positionals.length !== wanted.length)
      throw new UsageError(`usage: tollgate ${command.name} ${command.usage}`);
    return { values, positionals };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${(error as Error).message}\nusage: tollgate ${command.name} ${command.usage}`);
  }
}

function report(error: unknown, json: boolean): number {
  const usage = error instanceof UsageError;
  const message = usage ? error.message : publicMessage(error);
  const code = usage ? 'usage' : errorCode(error);
  if (json) process.stderr.write(`${JSON.stringify({ error: { code, message } })}\n`);
  else process.stderr.write(message.includes('\n') ? `tollgate:\n${indent(message)}\n` : `tollgate: ${message}\n`);
  // An internal fault is ours: the person at the terminal needs the stack to report it.
  if (code === 'internal' && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  if (usage) return EXIT.usage;
  if (error instanceof AppError && error.code === 'config_invalid') return EXIT.config;
  return error instanceof AppError && error.code === 'schema_newer' ? EXIT.newer : EXIT.failed;
}

const indent = (text: string) => text.replace(/^/gm, '  ');

function helpText(): string {
  const rows = [
    ['serve', '[--roles gateway,api,worker]', 'run the service'],
    ['demo', '[--exit]', 'the main job on real mail'],
    ...COMMANDS.map((command) => [command.name, command.usage, command.summary]),
  ];
  const lines = rows.map(([name, usage, summary]) => `  tollgate ${name} ${usage}\n      ${summary}`);
  return `Tollgate ${packageVersion()}\n\n${lines.join('\n')}\n\nAdd --json for JSON. Settings: docs/config.md\n`;
}
