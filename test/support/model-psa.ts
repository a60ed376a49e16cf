import type { Clock } from '../../src/core/clock.ts';
import { AppError } from '../../src/core/errors.ts';
import { addDays, localDate } from '../../src/core/period.ts';
import type {
  DocumentInput,
  Psa,
  PsaCompany,
  PsaDocument,
  PsaKind,
  PsaTicket,
  QuantityChange,
  Subscription,
  SubscriptionRef,
  TicketInput,
  TicketNote,
} from '../../src/core/psa.ts';

/**
 * What the next write meets. `lost`: done, the answer lost. `late`: the caller hears of a time-out, it is done some time
 * later. `vanished`: the same, and it is never done. `busy`: 429, not done. `refused`: understood and refused.
 */
export type WriteFault = 'ok' | 'lost' | 'late' | 'vanished' | 'busy' | 'refused';
export type ReadFault = 'ok' | 'down' | 'unauthenticated';

export interface ModelTicket {
  readonly id: string;
  readonly key: string;
  readonly companyId: string;
  readonly title: string;
  readonly description: string;
  open: boolean;
  deleted: boolean;
  mergedInto: ModelTicket | null;
  resolution: string | null;
  readonly notes: TicketNote[];
}

export interface ModelLine {
  readonly ref: SubscriptionRef;
  companyId: string;
  quantity: number;
  status: Subscription['status'];
  /** Days from today until a change touches nothing that is billed. */
  noticeDays: number;
  /** Every quantity that the line ever had. */
  readonly history: number[];
}

/** The longest that this PSA takes over a request: what is `late` is done within this time. */
export const MODEL_MAX_REQUEST_MS = 60_000;

/** A PSA in memory that behaves like the real ones at their worst. Time comes from the test's clock. */
export class ModelPsa implements Psa {
  readonly kind: PsaKind;
  readonly tickets: ModelTicket[] = [];
  readonly lines = new Map<string, ModelLine>();
  readonly companies = new Map<string, PsaCompany>();
  /** Writes that reached the PSA, whatever became of them. */
  writes = 0;
  reads = 0;
  /** Faults of the writes to come, in order; then all goes well. */
  writeFaults: WriteFault[] = [];
  /** Holds for every read until it is changed. */
  readFault: ReadFault = 'ok';
  /** Awaited before a write does anything: for a caller that hangs while another works. */
  beforeWrite: () => Promise<void> = async () => undefined;
  readonly #clock: Clock;
  readonly #pending: { readonly at: number; readonly apply: () => void }[] = [];

  constructor(clock: Clock, kind: PsaKind = 'autotask') {
    this.#clock = clock;
    this.kind = kind;
  }

  addLine(lineId: string, quantity: number, companyId = '1'): ModelLine {
    const line: ModelLine = {
      ref: { contractId: 'c1', lineId },
      companyId,
      quantity,
      status: 'active',
      noticeDays: 0,
      history: [quantity],
    };
    this.lines.set(lineId, line);
    return line;
  }

  /** Does what came late and whose time has come. */
  tick(): void {
    const now = this.#clock.now().getTime();
    for (let index = this.#pending.length - 1; index >= 0; index -= 1) {
      const one = this.#pending[index];
      if (one === undefined || one.at > now) continue;
      this.#pending.splice(index, 1);
      try {
        one.apply();
      } catch {
        // Refused by then (its ticket is gone); nobody waits for the answer any more.
      }
    }
  }

  #read(): void {
    this.reads += 1;
    this.tick();
    if (this.readFault === 'down') throw new AppError('unavailable', 'the PSA does not answer');
    if (this.readFault === 'unauthenticated') throw new AppError('unauthenticated', 'the PSA refuses the credentials');
  }

  async #write<T>(apply: () => T): Promise<T> {
    await this.beforeWrite();
    this.writes += 1;
    this.tick();
    const fault = this.writeFaults.shift() ?? 'ok';
    switch (fault) {
      case 'ok':
        return apply();
      case 'lost':
        apply();
        throw new AppError('upstream_ambiguous', 'the connection broke before the answer');
      case 'late':
        this.#pending.push({ at: this.#clock.now().getTime() + MODEL_MAX_REQUEST_MS, apply });
        throw new AppError('upstream_ambiguous', 'no answer in time');
      case 'vanished':
        throw new AppError('upstream_ambiguous', 'no answer in time');
      case 'busy':
        throw new AppError('unavailable', 'too many requests', { retryAfter: 5 });
      case 'refused':
        throw new AppError('upstream_rejected', 'the PSA says: no');
    }
  }

  async check() {
    return { version: 'model', notes: [] };
  }

  async findCompanies(text: string): Promise<PsaCompany[]> {
    this.#read();
    return [...this.companies.values()].filter((company) => company.name.includes(text));
  }

  async getCompany(id: string): Promise<PsaCompany | null> {
    this.#read();
    return this.companies.get(id) ?? null;
  }

  async findTickets(key: string): Promise<PsaTicket[]> {
    this.#read();
    return this.tickets
      .filter((ticket) => ticket.key === key && !ticket.deleted)
      .toReversed()
      .map(shown);
  }

  async getTicket(id: string): Promise<PsaTicket | null> {
    this.#read();
    const ticket = this.#survivor(id);
    return ticket === null ? null : shown(ticket);
  }

  #survivor(id: string): ModelTicket | null {
    let ticket = this.tickets.find((one) => one.id === id) ?? null;
    while (ticket?.mergedInto) ticket = ticket.mergedInto;
    return ticket === null || ticket.deleted ? null : ticket;
  }

  async createTicket(input: TicketInput): Promise<PsaTicket> {
    return this.#write(() => {
      const { companyId, title, description, key } = input;
      const ticket: ModelTicket = {
        id: String(this.tickets.length + 1),
        key,
        companyId,
        title,
        description,
        open: true,
        deleted: false,
        mergedInto: null,
        resolution: null,
        notes: [],
      };
      this.tickets.push(ticket);
      return shown(ticket);
    });
  }

  async addNote(ticketId: string, note: TicketNote): Promise<void> {
    await this.#write(() => {
      const ticket = this.#survivor(ticketId);
      if (ticket === null) throw new AppError('upstream_rejected', 'no such ticket');
      ticket.notes.push(note);
    });
  }

  async resolveTicket(ticketId: string, resolution: string): Promise<PsaTicket> {
    return this.#write(() => {
      const ticket = this.#survivor(ticketId);
      if (ticket === null) throw new AppError('upstream_rejected', 'no such ticket');
      if (ticket.open) {
        ticket.open = false;
        ticket.resolution = resolution;
      }
      return shown(ticket);
    });
  }

  async attachToCompany(_companyId: string, document: DocumentInput): Promise<PsaDocument> {
    return { id: '1', title: document.title, fileName: document.fileName, bytes: document.data.byteLength };
  }

  async listCompanyDocuments(): Promise<PsaDocument[]> {
    return [];
  }

  async listSubscriptions(companyId: string): Promise<Subscription[]> {
    this.#read();
    return [...this.lines.values()].filter((line) => line.companyId === companyId).map((line) => this.#line(line));
  }

  async readSubscription(ref: SubscriptionRef): Promise<Subscription | null> {
    this.#read();
    const line = this.lines.get(ref.lineId);
    return line === undefined || line.ref.contractId !== ref.contractId ? null : this.#line(line);
  }

  #line(line: ModelLine): Subscription {
    return {
      ref: line.ref,
      companyId: line.companyId,
      name: 'Mailbox protection',
      quantity: line.quantity,
      unitPrice: '2.50',
      currency: 'USD',
      status: line.status,
      earliestEffectiveDate: addDays(localDate(this.#clock.now(), 'UTC'), line.noticeDays),
    };
  }

  async writeQuantity(ref: SubscriptionRef, change: QuantityChange): Promise<void> {
    await this.#write(() => {
      const line = this.lines.get(ref.lineId);
      if (line === undefined) throw new AppError('upstream_rejected', 'no such line');
      line.quantity = this.kind === 'autotask' ? line.quantity + (change.target - change.before) : change.target;
      line.history.push(line.quantity);
    });
  }
}

function shown(ticket: ModelTicket): PsaTicket {
  return {
    id: ticket.id,
    number: `T${ticket.id}`,
    key: ticket.key,
    companyId: ticket.companyId,
    title: ticket.title,
    open: ticket.open,
  };
}
