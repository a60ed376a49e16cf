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

/** Looks at the value of an option before anything is opened. Throws AppError `invalid_input`. */
export type Check = (values: Values, name: string) => unknown;

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  /** What it means, where its usual meaning (options.ts) is another. */
  readonly help?: string;
  /** What it must be, where that is not the usual (options.ts). */
  readonly check?: Check;
}

/** What help and the reader of arguments need of a command. */
export type Described = Pick<
  Command,
  'name' | 'usage' | 'summary' | 'options' | 'needs' | 'positionals' | 'notes' | 'example'
>;

export interface Command {
  /** `client create` */
  readonly name: string;
  /** `--partner ID --name N …`, as help prints it. */
  readonly usage: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
  /** Which options must be there, where the usage can't say it: of each group one. */
  readonly needs?: (values: Values) => readonly (readonly string[])[];
  /** More that help says: formats of files, what happens. */
  readonly notes?: string;
  /** What stands behind the name in the example of help. */
  readonly example?: string;
  /** Names of arguments without a dash, all required; one that ends in `...` may be given several times. */
  readonly positionals?: readonly string[];
  /** Answers with what is printed: JSON with --json, lines of `name value` else. */
  run(context: CommandContext, values: Values, positionals: readonly string[]): Promise<CommandResult>;
}

export interface CommandResult {
  readonly output: Readonly<Record<string, unknown>>;
  /** What people see in the place of `output`, where the two differ. */
  readonly forPeople?: Readonly<Record<string, unknown>>;
  /** Sentences below it, for people only. */
  readonly words?: readonly string[];
  /** What was done and will not work as it is: on standard error, and in the JSON as `warnings` when there are any. */
  readonly warnings?: readonly string[];
  /** 0 unless said: `verify` answers 1 when it found a difference. */
  readonly exitCode?: number;
}
