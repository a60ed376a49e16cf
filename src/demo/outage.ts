import type { App } from '../app.ts';
import type { Api } from './api.ts';
import type { Checks } from './checks.ts';
import type { Say } from './say.ts';
import { waitForDelivery } from './sending.ts';
import type { DemoWorld } from './setup.ts';
import { waitFor } from './wait.ts';

const LIMIT_MS = 60_000;

interface IncidentAnswer {
  readonly rule: string;
  readonly state: string;
  readonly ticket: { readonly number: string | null; readonly state: string };
}

/**
 * The story of the client's server that is down: taken down before the traffic; `finish` waits for the incident's ticket in
 * the client's PSA, brings the server back, and sees mail flow and the ticket closed by itself.
 */
export async function playOutage(
  app: App,
  world: DemoWorld,
  api: Api,
  checks: Checks,
  say: Say,
): Promise<{ finish(): Promise<void> }> {
  const client = world.clients.find((one) => one.domain === 'thames-dental.example');
  const sink = world.sinks.get('thames-dental.example');
  if (client === undefined || sink === undefined) throw new Error('the demo has that client');
  await sink.down();

  const incident = async (): Promise<IncidentAnswer | undefined> => {
    const answer = await api.ask<{ incidents: { edges: { node: IncidentAnswer }[] } }>(
      '{ incidents(first: 10) { edges { node { rule state ticket { number state } } } } }',
    );
    return answer.incidents.edges.map((edge) => edge.node).find((node) => node.rule === 'server.down');
  };
  /** The tickets of one matter: they carry its key. Other incidents of the client have others. */
  const inPsa = (number: string | null) => {
    const tickets = [...world.connectwise.state.tickets.values()];
    const key = tickets.find((ticket) => String(ticket.id) === number)?.externalXRef;
    return tickets.filter((ticket) => String(ticket.company.id) === client.companyId && ticket.externalXRef === key);
  };

  return {
    async finish() {
      say.title(`3  The mail server of ${client.name} is down for a while`);
      // The schedule does this every ten seconds; the demo does not wait for it.
      const opened = await waitFor('the incident and its ticket', LIMIT_MS, async () => {
        await app.runNow('monitor.watch');
        await app.runNow('tickets.sync');
        const found = await incident();
        return found === undefined || found.ticket.number === null ? null : found;
      });
      say.line(`  its mail waits; incident ${opened.rule} opened ticket ${opened.ticket.number} in ConnectWise`);
      const { number } = opened.ticket;
      checks.equal('tickets for the outage in the PSA', 1, inPsa(number).length);
      checks.equal(
        'the ticket while the server is down',
        'open',
        inPsa(number)[0]?.closedFlag === false ? 'open' : 'not open',
      );
      checks.equal('mail taken by the server while it was down', 0, sink.deliveries);

      await sink.up();
      await waitForDelivery(app);
      const closed = await waitFor('the ticket to be closed', LIMIT_MS, async () => {
        await app.runNow('monitor.watch');
        await app.runNow('tickets.sync');
        const found = await incident();
        return found?.ticket.state === 'RESOLVED' ? found : null;
      });
      say.line(
        `  the server is back: ${sink.deliveries.toLocaleString('en')} deliveries flowed, ticket ${closed.ticket.number} was closed by itself`,
      );
      checks.equal('the incident ended by itself', 'RESOLVED', closed.state);
      checks.equal('the ticket was closed in the PSA', true, inPsa(number)[0]?.closedFlag);
      checks.equal('tickets for the outage in the end', 1, inPsa(number).length);
    },
  };
}
