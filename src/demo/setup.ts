import {
  type AutotaskSandbox,
  type ConnectWiseSandbox,
  startAutotaskSandbox,
  startConnectWiseSandbox,
} from '../../integrations/sandbox/index.ts';
import { setBrand } from '../accounts/branding.ts';
import { createClient } from '../accounts/clients.ts';
import { addConnection, mapClient } from '../accounts/connections.ts';
import { type DirectoryRow, importMailboxes, setGroupMembers } from '../accounts/mailboxes.ts';
import { createPartner } from '../accounts/partners.ts';
import type { App } from '../app.ts';
import { linkSubscription } from '../billing/subscriptions.ts';
import type { Secrets } from '../config/secrets.ts';
import { systemClock } from '../core/clock.ts';
import { silentLogger } from '../core/log.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import { setDigest } from '../digest/settings.ts';
import { Sink } from './sinks.ts';
import { addressOf, CLIENT_PLANS, type ClientPlan, type DemoClient } from './world.ts';

export interface DemoWorld extends AsyncDisposable {
  readonly partnerId: PartnerId;
  readonly apiKey: string;
  readonly clients: readonly DemoClient[];
  readonly sinks: ReadonlyMap<string, Sink>;
  readonly connectwise: ConnectWiseSandbox;
  readonly autotask: AutotaskSandbox;
}

const ACTOR = 'demo';
/** What the PSA bills before the first plan: never what usage says, so that there is a difference to apply. */
const BILLED_BEFORE = 3;

/** Both PSA sandboxes, a sink per client, and the partner with its four clients: what an operator does with the commands. */
export async function setUpWorld(app: App, secrets: Secrets): Promise<DemoWorld> {
  const { db } = app.store;
  const [connectwise, autotask] = await Promise.all([startConnectWiseSandbox(), startAutotaskSandbox()]);
  const sinks = new Map(CLIENT_PLANS.map((plan) => [plan.domain, new Sink(plan.name)]));
  for (const sink of sinks.values()) await sink.up();

  const partner = await db.system((tx) => createPartner(tx, { name: 'Northwind IT Services', actor: ACTOR }));
  const id = partnerId(partner.id);
  const connections = await db.tenant(id, async (tx) => {
    await setBrand(tx, { primaryColor: '#1d3557', accentColor: '#2a9d8f' });
    const connect = (sandbox: ConnectWiseSandbox | AutotaskSandbox) =>
      addConnection(
        tx,
        {
          kind: sandbox.kind,
          url: sandbox.url,
          credentials: sandbox.credentials,
          settings: sandbox.settings,
          actor: ACTOR,
        },
        secrets.sealKey,
      );
    return { connectwise: (await connect(connectwise)).id, autotask: (await connect(autotask)).id };
  });

  const clients: DemoClient[] = [];
  for (const plan of CLIENT_PLANS) {
    const sink = sinks.get(plan.domain);
    if (sink === undefined) throw new Error('every client has a sink');
    const company = inPsa(plan, connectwise, autotask);
    const client = await db.tenant(id, async (tx) => {
      const made = await createClient(tx, {
        name: plan.name,
        timeZone: plan.zone,
        domains: [plan.domain],
        relays: [{ host: '127.0.0.1', port: sink.port }],
        actor: ACTOR,
      });
      await importMailboxes(tx, made.id, directoryOf(plan), ACTOR);
      // A demo that runs over eight in the morning would count digests among the mail that it sent.
      const everybody = { audience: 'users', clientId: made.id, mailboxId: null } as const;
      await setDigest(tx, everybody, { mode: 'off' }, ACTOR);
      const mailboxes = plan.people.map((person) => addressOf(person, plan.domain));
      await setGroupMembers(tx, made.id, `team@${plan.domain}`, mailboxes);
      const connectionId = connections[plan.psa];
      await mapClient(tx, {
        clientId: made.id,
        connectionId,
        companyId: company.companyId,
        companyName: plan.name,
        actor: ACTOR,
      });
      return { ...made, mailboxes };
    });
    await linkSubscription({ db, psaFor: app.psaFor, clock: systemClock, logger: silentLogger }, id, {
      clientId: client.id,
      ref: { contractId: company.contractId, lineId: company.lineId },
      actor: ACTOR,
    });
    clients.push({
      id: client.id,
      name: plan.name,
      zone: plan.zone,
      domain: plan.domain,
      mailboxes: client.mailboxes,
      alias: `info@${plan.domain}`,
      group: `team@${plan.domain}`,
      psa: plan.psa,
      ...company,
    });
  }
  return {
    partnerId: id,
    apiKey: partner.apiKey,
    clients,
    sinks,
    connectwise,
    autotask,
    async [Symbol.asyncDispose]() {
      await Promise.all([connectwise.close(), autotask.close(), ...[...sinks.values()].map((sink) => sink.down())]);
    },
  };
}

function directoryOf(plan: ClientPlan): DirectoryRow[] {
  const first = plan.people[0] ?? '';
  return [
    ...plan.people.map(
      (person): DirectoryRow => ({ address: addressOf(person, plan.domain), name: person, kind: 'user' }),
    ),
    { address: `info@${plan.domain}`, name: addressOf(first, plan.domain), kind: 'alias' },
    { address: `team@${plan.domain}`, name: 'Everybody', kind: 'group' },
    { address: `meeting-room@${plan.domain}`, name: 'Meeting room', kind: 'resource' },
  ];
}

/** The company and its billed line, as somebody in the MSP's office would have set them up. */
function inPsa(plan: ClientPlan, connectwise: ConnectWiseSandbox, autotask: AutotaskSandbox) {
  const { state } = plan.psa === 'connectwise' ? connectwise : autotask;
  const company = state.addCompany(plan.name);
  return { companyId: String(company.id), ...state.addSubscription(Number(company.id), { quantity: BILLED_BEFORE }) };
}
