import { faultOfHost } from '../gateway/index.ts';
import { systemResolver } from '../mail/resolver.ts';
import type { CommandContext } from './command.ts';

/** A command does not wait for a DNS server that is silent. */
const LOOK_UP = { timeoutMs: 1_500, tries: 1 };

/**
 * What is wrong with mail servers that a command was given, a sentence each. The settings are those that the command sees: the
 * service may have been started with others.
 */
export async function relayWarnings(
  { config }: Pick<CommandContext, 'config'>,
  hosts: readonly string[],
): Promise<string[]> {
  const server = config.dns === null ? {} : { server: `${config.dns.host}:${config.dns.port}` };
  const resolver = systemResolver({ ...server, ...LOOK_UP });
  const looked = [...new Set(hosts)].map((host) => faultOfHost(host, resolver, config.allowPrivateHosts));
  return (await Promise.all(looked)).flatMap((fault) =>
    fault === null ? [] : [`mail will wait: ${fault}${hint(fault)}`],
  );
}

const hint = (fault: string) =>
  fault.includes('TOLLGATE_') ? ' here; unless the service was started with it, set it and start the service anew' : '';
