import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import { connectPsa, type PsaDeps } from '../../integrations/index.ts';
import {
  type AutotaskSandbox,
  type ConnectWiseSandbox,
  startAutotaskSandbox,
  startConnectWiseSandbox,
} from '../../integrations/sandbox/index.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { type Logger, silentLogger } from '../../src/core/log.ts';
import type { Psa, PsaConnection, PsaKind, SubscriptionRef, TicketInput } from '../../src/core/psa.ts';

export const NOW = '2026-10-14T09:30:00Z';

interface SubscriptionOptions {
  readonly quantity?: number;
  readonly unitPrice?: number;
  readonly startDate?: string;
  readonly endDate?: string | null;
  readonly cancelled?: boolean;
}

/** What both sandboxes can do, in one tongue. */
export interface Bench {
  readonly kind: PsaKind;
  readonly sandbox: ConnectWiseSandbox | AutotaskSandbox;
  readonly clock: ManualClock;
  readonly psa: Psa;
  readonly connection: PsaConnection;
  readonly deps: PsaDeps;
  /** Milliseconds that the connector has waited between repetitions. */
  readonly waits: number[];
  readonly logs: string[];
  addCompany(name: string, active?: boolean): string;
  addSubscription(companyId: string, options?: SubscriptionOptions): SubscriptionRef;
  /** Paths of requests that write tickets. */
  creates(): number;
  ticketCount(): number;
  notesOf(ticketId: string): { text: string; internal: boolean; resolution: boolean }[];
}

export async function bench(t: TestContext, kind: PsaKind, deps: Partial<PsaDeps> = {}): Promise<Bench> {
  const clock = new ManualClock(NOW);
  const sandboxOptions = { clock, wait: async () => undefined, autoCallbacks: false };
  const sandbox =
    kind === 'connectwise' ? await startConnectWiseSandbox(sandboxOptions) : await startAutotaskSandbox(sandboxOptions);
  t.after(() => sandbox.close());
  const waits: number[] = [];
  const logs: string[] = [];
  const record = (details: object, message: string) => void logs.push(`${message} ${JSON.stringify(details)}`);
  const logger: Logger = { ...silentLogger, debug: record, info: record, warn: record, error: record };
  const allDeps: PsaDeps = {
    clock,
    logger,
    allowPrivateHosts: ['127.0.0.1'],
    sleep: async (ms) => {
      waits.push(ms);
      clock.advance(ms);
    },
    ...deps,
  };
  const connection: PsaConnection = {
    id: randomUUID(),
    partnerId: randomUUID(),
    kind,
    url: sandbox.url,
    credentials: sandbox.credentials,
    settings: sandbox.settings,
  };
  const createPath = kind === 'connectwise' ? /\/service\/tickets$/ : /\/V1\.0\/Tickets$/;
  return {
    kind,
    sandbox,
    clock,
    psa: connectPsa(connection, allDeps),
    connection,
    deps: allDeps,
    waits,
    logs,
    addCompany: (name, active = true) => String(sandbox.state.addCompany(name, { active }).id),
    addSubscription: (companyId, options = {}) => sandbox.state.addSubscription(Number(companyId), options),
    creates: () => sandbox.requests.filter((r) => r.method === 'POST' && createPath.test(r.path)).length,
    ticketCount: () => sandbox.state.tickets.size,
    notesOf: (ticketId) =>
      sandbox.kind === 'connectwise'
        ? sandbox.state.notes
            .filter((note) => note.ticketId === Number(ticketId))
            .map((note) => ({
              text: note.text,
              internal: note.internalAnalysisFlag,
              resolution: note.resolutionFlag,
            }))
        : [...sandbox.state.notes.values()]
            .filter((note) => note.ticketID === Number(ticketId))
            .map((note) => ({
              text: `${note.title}\n\n${note.description}`,
              internal: note.publish === 2,
              resolution: false,
            })),
  };
}

export function ticketInput(companyId: string, change: Partial<TicketInput> = {}): TicketInput {
  return {
    companyId,
    title: 'Mail server does not accept mail',
    description: 'mx.example.com refuses connections since 09:12.',
    key: `tg-${randomUUID()}`,
    priority: 'high',
    ...change,
  };
}
