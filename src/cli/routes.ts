import { partnerOfClient, requireClient } from '../accounts/clients.ts';
import { type ClientRoute, listRoutes, parseRoute, type RouteInput } from '../accounts/routes.ts';
import { type ClientStrategy, listStrategies, setRoutes, setStrategy } from '../accounts/routing.ts';
import { AppError } from '../core/errors.ts';
import { partnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import { flushClient } from '../gateway/index.ts';
import type { Command, CommandContext } from './command.ts';
import { relayWarnings } from './relays.ts';
import { listOf, optional, required, requiredId } from './values.ts';

const ACTOR = 'cli';
const SMTP_PORT = 25;

async function inTenantOf<T>(
  { store }: CommandContext,
  clientId: string,
  work: (tx: TenantTx) => Promise<T>,
): Promise<T> {
  const partner = await store.db.system((tx) => partnerOfClient(tx, clientId));
  return store.db.tenant(partnerId(partner), work);
}

async function routesOf(tx: TenantTx, clientId: string): Promise<Omit<ClientRoute, 'clientId'>[]> {
  await requireClient(tx, clientId);
  return (await listRoutes(tx, [clientId])).map(({ clientId: _, ...route }) => route);
}

async function strategiesOf(tx: TenantTx, clientId: string): Promise<Omit<ClientStrategy, 'clientId'>[]> {
  await requireClient(tx, clientId);
  return (await listStrategies(tx, [clientId])).map(({ clientId: _, ...strategy }) => strategy);
}

const routeSet: Command = {
  name: 'route set',
  usage:
    '--client ID [--domain D] --relay HOST:PORT[,priority=N][,weight=N][,region=NAME][,tls=none|opportunistic|required] ... | --mx | --mx-of DOMAIN | --none',
  summary: 'say where mail of a client, or of one of its domains, goes',
  options: {
    client: { type: 'string' },
    domain: { type: 'string' },
    relay: {
      ...{ type: 'string', multiple: true, check: (given, name) => parseRoute(required(given, name)) },
      help: 'mail server, HOST:PORT, with settings as in the usage; may be given more than once',
    },
    mx: { type: 'boolean' },
    'mx-of': { type: 'string' },
    none: { type: 'boolean' },
  },
  async run(context, values) {
    const clientId = requiredId(values, 'client');
    const mxOf = values['mx'] === true ? '' : optional(values, 'mx-of');
    const routes: RouteInput[] = [
      ...listOf(values, 'relay').map(parseRoute),
      ...(mxOf === null ? [] : [{ kind: 'mx' as const, host: mxOf, port: SMTP_PORT }]),
    ];
    if ((routes.length === 0) !== (values['none'] === true)) {
      throw new AppError('invalid_input', 'give --relay, --mx or --mx-of; --none alone takes the routes away', {
        field: 'relay',
      });
    }
    const domain = optional(values, 'domain');
    const set = await inTenantOf(context, clientId, async (tx) => {
      await setRoutes(tx, { clientId, domain, routes, actor: ACTOR });
      return routesOf(tx, clientId);
    });
    const hosts = routes.filter((route) => route.kind !== 'mx').map((route) => route.host);
    return { output: { routes: set }, warnings: await relayWarnings(context, hosts) };
  },
};

const routeList: Command = {
  name: 'route list',
  usage: '--client ID',
  summary: 'show where mail of a client goes',
  options: { client: { type: 'string' } },
  async run(context, values) {
    const clientId = requiredId(values, 'client');
    return { output: { routes: await inTenantOf(context, clientId, (tx) => routesOf(tx, clientId)) } };
  },
};

const regionSet: Command = {
  name: 'region set',
  usage: '--client ID [--domain D] --region NAME ... [--recipient-servers] | --none',
  summary: 'say through which regions mail of a client goes, and through no other',
  options: {
    client: { type: 'string' },
    domain: { type: 'string' },
    region: { type: 'string', multiple: true },
    'recipient-servers': { type: 'boolean' },
    none: { type: 'boolean' },
  },
  async run(context, values) {
    const clientId = requiredId(values, 'client');
    const regions = listOf(values, 'region');
    if ((regions.length === 0) !== (values['none'] === true)) {
      throw new AppError('invalid_input', 'give --region; --none alone takes the strategy away', { field: 'region' });
    }
    const domain = optional(values, 'domain');
    const recipientServers = values['recipient-servers'] === true;
    const strategies = await inTenantOf(context, clientId, async (tx) => {
      await setStrategy(tx, { clientId, domain, regions, recipientServers, actor: ACTOR });
      return strategiesOf(tx, clientId);
    });
    return { output: { strategies } };
  },
};

const regionList: Command = {
  name: 'region list',
  usage: '--client ID',
  summary: 'show through which regions mail of a client goes',
  options: { client: { type: 'string' } },
  async run(context, values) {
    const clientId = requiredId(values, 'client');
    return { output: { strategies: await inTenantOf(context, clientId, (tx) => strategiesOf(tx, clientId)) } };
  },
};

const queueFlush: Command = {
  name: 'queue flush',
  usage: '--client ID',
  summary: "have a client's waiting mail tried again now",
  options: { client: { type: 'string' } },
  async run(context, values) {
    const clientId = requiredId(values, 'client');
    return {
      output: { deliveries: await inTenantOf(context, clientId, (tx) => flushClient(tx, clientId, ACTOR)) },
    };
  },
};

export const routeCommands: readonly Command[] = [routeSet, routeList, regionSet, regionList, queueFlush];
