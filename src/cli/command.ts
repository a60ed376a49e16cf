import type { ParseArgsConfig } from 'node:util';
import type { Config } from '../config/config.ts';
import type { Secrets } from '../config/secrets.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Store } from '../db/store.ts';

/** What a command works with. */
export interface CommandContext {
  readonly config: Config;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
}

export type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

export interface Command {
  /** `client create` */
  readonly name: string;
  /** `--partner ID --name N …`, as help prints it. */
  readonly usage: string;
  readonly summary: string;
  readonly options: NonNullable<ParseArgsConfig['options']>;
  /** Names of arguments without a dash, all required; one that ends in `...` may be given several times. */
  readonly positionals?: readonly string[];
  /** Answers with what is printed: JSON with --json, lines of `name value` else. */
  run(context: CommandContext, values: Values, positionals: readonly string[]): Promise<CommandResult>;
}

export interface CommandResult {
  readonly output: Readonly<Record<string, unknown>>;
  /** 0 unless said: `verify` answers 1 when it found a difference. */
  readonly exitCode?: number;
}
