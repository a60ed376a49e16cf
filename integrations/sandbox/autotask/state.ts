import type { Clock } from '../../../src/core/clock.ts';
import type { Row } from './filter.ts';
import { type AtUnits, addDays, adjustUnits, dayOf, monthlyRows } from './units.ts';

export interface AtCompany extends Row {
  companyName: string;
  companyNumber: string;
  companyType: number;
  isActive: boolean;
}

export interface AtTicket extends Row {
  ticketNumber: string;
  companyID: number;
  title: string;
  description: string;
  status: number;
  priority: number;
  queueID: number | null;
  externalID: string;
  resolution: string;
  dueDateTime: string;
  completedDate: string | null;
  lastTrackedModificationDateTime: string;
}

export interface AtNote extends Row {
  ticketID: number;
  title: string;
  description: string;
  noteType: number;
  publish: number;
}

export interface AtContract extends Row {
  companyID: number;
  contractName: string;
  contractType: number;
  status: number;
  startDate: string;
  endDate: string;
}

export interface AtLine extends Row {
  contractID: number;
  serviceID: number;
  unitPrice: number;
  invoiceDescription: string;
}

export interface AtService extends Row {
  name: string;
  unitPrice: number;
  isActive: boolean;
}

export interface AtAttachment extends Row {
  parentID: number;
  title: string;
  fullPath: string;
  fileSize: number;
  data: string;
}

export interface AtBillingItem extends Row {
  contractServiceID: number;
  quantity: number;
  postedDate: string;
  extendedPrice: number;
}

/** The fields that filters may name, by entity. */
export const FIELDS: Readonly<Record<string, readonly string[]>> = {
  Companies: ['id', 'companyName', 'companyNumber', 'companyType', 'isActive'],
  Tickets: [
    'id',
    'ticketNumber',
    'companyID',
    'title',
    'status',
    'priority',
    'queueID',
    'externalID',
    'lastTrackedModificationDateTime',
  ],
  TicketNotes: ['id', 'ticketID', 'title', 'noteType', 'publish'],
  Contracts: ['id', 'companyID', 'contractName', 'contractType', 'status', 'startDate', 'endDate'],
  ContractServices: ['id', 'contractID', 'serviceID'],
  ContractServiceUnits: [
    'id',
    'contractID',
    'contractServiceID',
    'serviceID',
    'startDate',
    'endDate',
    'approveAndPostDate',
  ],
  Services: ['id', 'name', 'isActive'],
  CompanyAttachments: ['id', 'parentID', 'title'],
  BillingItems: ['id', 'contractServiceID', 'postedDate'],
};

export const PICKLISTS = {
  status: [
    { value: '1', label: 'New', isActive: true, isDefaultValue: true, isSystem: true },
    { value: '5', label: 'Complete', isActive: true, isDefaultValue: false, isSystem: true },
    { value: '19', label: 'Waiting for customer', isActive: false, isDefaultValue: false, isSystem: false },
  ],
  priority: [
    { value: '4', label: 'Critical', isActive: true, isDefaultValue: false, isSystem: false },
    { value: '1', label: 'High', isActive: true, isDefaultValue: false, isSystem: false },
    { value: '2', label: 'Medium', isActive: true, isDefaultValue: true, isSystem: false },
    { value: '3', label: 'Low', isActive: true, isDefaultValue: false, isSystem: false },
  ],
  queueID: [
    { value: '29683354', label: 'Mail security', isActive: true, isDefaultValue: false, isSystem: false },
    { value: '8', label: 'Monitoring alerts', isActive: true, isDefaultValue: false, isSystem: false },
  ],
  noteType: [
    { value: '1', label: 'Task detail', isActive: true, isDefaultValue: false, isSystem: false },
    { value: '3', label: 'Task notes', isActive: true, isDefaultValue: false, isSystem: false },
  ],
} as const;

/** What the Autotask sandbox remembers, with the hands of a person in the office: nothing here goes through the API. */
export class AutotaskState {
  readonly companies = new Map<number, AtCompany>();
  readonly tickets = new Map<number, AtTicket>();
  readonly notes = new Map<number, AtNote>();
  readonly contracts = new Map<number, AtContract>();
  readonly lines = new Map<number, AtLine>();
  readonly services = new Map<number, AtService>();
  readonly attachments = new Map<number, AtAttachment>();
  readonly billingItems = new Map<number, AtBillingItem>();
  units: AtUnits[] = [];
  /** Zones have a number in their path; moving the database to another one makes the old answer 401. */
  zone = 1;
  /** Requests of other integrations in this hour. */
  foreignRequests = 0;
  changed: (
    entityType: 'Ticket' | 'Account',
    id: number,
    action: 'Create' | 'Update' | 'Delete',
    fields: unknown,
    byApi: boolean,
  ) => void = () => undefined;
  readonly #clock: Clock;
  #lastId = 29_680_000;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  now(): Date {
    return this.#clock.now();
  }

  today(): string {
    return this.now().toISOString().slice(0, 10);
  }

  table(entity: string): Iterable<Row> | null {
    switch (entity) {
      case 'Companies':
        return this.companies.values();
      case 'Tickets':
        return this.tickets.values();
      case 'TicketNotes':
        return this.notes.values();
      case 'Contracts':
        return this.contracts.values();
      case 'ContractServices':
        return this.lines.values();
      case 'ContractServiceUnits':
        return this.units;
      case 'Services':
        return this.services.values();
      case 'CompanyAttachments':
        return [...this.attachments.values()].map(({ data: _, ...rest }) => rest);
      case 'BillingItems':
        return this.billingItems.values();
      default:
        return null;
    }
  }

  addCompany(name: string, options: { active?: boolean } = {}): AtCompany {
    const id = this.nextId();
    const company = { id, companyName: name, companyNumber: '', companyType: 1, isActive: options.active !== false };
    this.companies.set(id, company);
    this.changed('Account', id, 'Create', company, false);
    return company;
  }

  renameCompany(id: number, name: string): void {
    const company = this.companies.get(id);
    if (company === undefined) return;
    company.companyName = name;
    this.changed('Account', id, 'Update', company, false);
  }

  deactivateCompany(id: number): void {
    const company = this.companies.get(id);
    if (company === undefined) return;
    company.isActive = false;
    this.changed('Account', id, 'Update', company, false);
  }

  deleteCompany(id: number): void {
    this.companies.delete(id);
  }

  /** A recurring contract with one service on it and its monthly unit rows: the smallest thing that is billed. */
  addSubscription(
    companyId: number,
    options: {
      name?: string;
      quantity?: number;
      unitPrice?: number;
      startDate?: string;
      endDate?: string | null;
      cancelled?: boolean;
    } = {},
  ): { contractId: string; lineId: string } {
    const start = options.startDate ?? '2026-01-01';
    const contract: AtContract = {
      id: this.nextId(),
      companyID: companyId,
      contractName: 'Managed services',
      contractType: 7,
      status: options.cancelled === true ? 0 : 1,
      startDate: `${start}T00:00:00`,
      endDate: `${options.endDate ?? addDays(start, 3 * 365)}T00:00:00`,
    };
    this.contracts.set(contract.id, contract);
    const unitPrice = options.unitPrice ?? 2.5;
    const service = { id: this.nextId(), name: options.name ?? 'Mail security', unitPrice, isActive: true };
    this.services.set(service.id, service);
    const line = this.addLine(contract, service, options.quantity ?? 10);
    return { contractId: String(contract.id), lineId: String(line.id) };
  }

  addLine(contract: AtContract, service: AtService, quantity: number): AtLine {
    const line = {
      id: this.nextId(),
      contractID: contract.id,
      serviceID: service.id,
      unitPrice: service.unitPrice,
      invoiceDescription: '',
    };
    this.lines.set(line.id, line);
    const span = { start: dayOf(contract.startDate), end: dayOf(contract.endDate) };
    this.units.push(...monthlyRows(line, span, quantity, service.unitPrice, () => this.nextId()));
    return line;
  }

  /** Adds units from a day on; false when no row holds on that day or the units would fall below zero. */
  adjust(line: AtLine, effective: string, change: number): boolean {
    const rows = this.units.filter((row) => row.contractServiceID === line.id);
    const count = rows.length;
    const done = adjustUnits(rows, effective, change, line.unitPrice, () => this.nextId());
    this.units.push(...rows.slice(count));
    return done;
  }

  /** The MSP's "approve and post" of all unposted rows that begin up to a day; each makes a billing item. */
  approveAndPost(throughDay: string): void {
    for (const row of this.units) {
      if (row.approveAndPostDate !== null || dayOf(row.startDate) > throughDay) continue;
      row.approveAndPostDate = this.now().toISOString();
      const item = {
        id: this.nextId(),
        contractServiceID: row.contractServiceID,
        quantity: row.units,
        postedDate: row.approveAndPostDate,
        extendedPrice: row.price,
      };
      this.billingItems.set(item.id, item);
    }
  }

  closeTicket(id: number): void {
    const ticket = this.tickets.get(id);
    if (ticket === undefined) return;
    ticket.status = 5;
    ticket.completedDate = this.now().toISOString();
    this.changed('Ticket', id, 'Update', ticket, false);
  }

  /** In the user interface only: the API has no such call, and no callback tells of it. */
  deleteTicket(id: number): void {
    this.tickets.delete(id);
  }
}
