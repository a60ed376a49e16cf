import { AppError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import { isForeignKeyViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import type { Command, CommandContext, CommandResult, Values } from './command.ts';
import { optional, requiredId } from './values.ts';

/**
 * Runs a command after a look whether the partner and the client that it names are there, so that every command says the same
 * of an unknown id. Throws `not_found` that names the id.
 */
export async function runChecked(
  command: Command,
  context: CommandContext,
  values: Values,
  positionals: readonly string[],
): Promise<CommandResult> {
  const unknown: string[] = [];
  for (const name of ['partner', 'client'] as const) {
    const given = optional(values, name);
    if (given === null || !(name in command.options)) continue;
    if (!(await exists(context, name, requiredId(values, name)))) unknown.push(`there is no ${name} ${given}`);
  }
  if (unknown.length > 0) throw new AppError('not_found', unknown.join('\n'));
  try {
    return await command.run(context, values, positionals);
  } catch (error) {
    // What was there a moment ago and is gone, or an id inside that nobody looked at: a wrong use, not a fault of ours.
    if (isForeignKeyViolation(error))
      throw new AppError('not_found', 'something that the command names does not exist', { cause: error });
    throw error;
  }
}

async function exists({ store }: CommandContext, name: 'partner' | 'client', id: string): Promise<boolean> {
  if (!isId(id)) return false;
  const look = {
    partner: sql`select 1 as yes from partners where id = ${id}`,
    client: sql`select 1 as yes from clients where id = ${id}`,
  };
  return (await store.db.system((tx) => tx.maybe(look[name]), { readOnly: true })) !== null;
}
