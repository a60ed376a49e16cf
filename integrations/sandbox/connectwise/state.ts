import type { Clock } from '../../../src/core/clock.ts';

interface Reference {
  id: number;
  name?: string;
}

export interface CwCompany {
  id: number;
  identifier: string;
  name: string;
  status: Reference;
  deletedFlag: boolean;
  lastUpdated: string;
}

export interface CwTicket {
  id: number;
  summary: string;
  board: Reference;
  status: Reference;
  company: Reference;
  priority: Reference;
  externalXRef: string;
  closedFlag: boolean;
  closedDate: string | null;
  mergedParentTicket: Reference | null;
  hasMergedChildTicketFlag: boolean;
  customFields: unknown[];
  lastUpdated: string;
}

export interface CwNote {
  id: number;
  ticketId: number;
  text: string;
  detailDescriptionFlag: boolean;
  internalAnalysisFlag: boolean;
  resolutionFlag: boolean;
}

export interface CwAgreement {
  id: number;
  name: string;
  company: Reference;
  startDate: string;
  endDate: string | null;
  noEndingDateFlag: boolean;
  cancelledFlag: boolean;
  agreementStatus: 'Active' | 'Cancelled' | 'Expired' | 'Inactive';
  currency: { id: number; currencyCode: string };
  customFields: unknown[];
  lastUpdated: string;
}

export interface CwAddition {
  id: number;
  agreementId: number;
  product: { id: number; identifier: string };
  description: string;
  quantity: number;
  unitPrice: number;
  extPrice: number;
  billCustomer: 'Billable' | 'DoNotBill' | 'NoCharge';
  effectiveDate: string;
  cancelledDate: string | null;
  customFields: unknown[];
}

export interface CwDocument {
  id: number;
  title: string;
  fileName: string;
  size: number;
  recordType: string;
  recordId: number;
  data: Buffer;
}

export interface CwStatus {
  id: number;
  boardId: number;
  name: string;
  closedStatus: boolean;
  inactive: boolean;
  defaultFlag: boolean;
  sortOrder: number;
}

/** What the ConnectWise sandbox remembers, with the hands of a person in the office: nothing here goes through the API. */
export class ConnectWiseState {
  readonly companies = new Map<number, CwCompany>();
  readonly companyStatuses = [
    { id: 1, name: 'Active', inactiveFlag: false, defaultFlag: true },
    { id: 2, name: 'Not a customer', inactiveFlag: true, defaultFlag: false },
  ];
  readonly boards = [
    { id: 1, name: 'Service desk', inactiveFlag: false },
    { id: 2, name: 'Mail security', inactiveFlag: false },
  ];
  readonly statuses: CwStatus[] = [
    { id: 11, boardId: 1, name: 'New', closedStatus: false, inactive: false, defaultFlag: true, sortOrder: 1 },
    { id: 12, boardId: 1, name: 'Closed (old)', closedStatus: true, inactive: true, defaultFlag: false, sortOrder: 2 },
    { id: 13, boardId: 1, name: '>Done', closedStatus: true, inactive: false, defaultFlag: false, sortOrder: 3 },
    { id: 21, boardId: 2, name: 'Received', closedStatus: false, inactive: false, defaultFlag: true, sortOrder: 1 },
    { id: 22, boardId: 2, name: 'Filed away', closedStatus: true, inactive: false, defaultFlag: false, sortOrder: 2 },
  ];
  readonly priorities = [
    { id: 6, name: 'Priority 1 - Critical', color: 'Red', sortOrder: 1, defaultFlag: false },
    { id: 15, name: 'Priority 2 - High', color: 'Orange', sortOrder: 2, defaultFlag: false },
    { id: 8, name: 'Priority 3 - Medium', color: 'Yellow', sortOrder: 3, defaultFlag: true },
    { id: 7, name: 'Priority 4 - Low', color: 'Green', sortOrder: 4, defaultFlag: false },
  ];
  readonly tickets = new Map<number, CwTicket>();
  readonly notes: CwNote[] = [];
  readonly agreements = new Map<number, CwAgreement>();
  readonly additions = new Map<number, CwAddition>();
  readonly documents = new Map<number, CwDocument>();
  /** Entities with custom fields refuse a PATCH that leaves them out. */
  requireCustomFieldsOperation = true;
  codebase = 'v2025_1/';
  /** Told of every change, for callbacks. */
  changed: (
    type: string,
    id: number,
    action: 'added' | 'updated' | 'deleted',
    entity: unknown,
    byApi: boolean,
  ) => void = () => undefined;
  readonly #clock: Clock;
  #lastId = 100;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  now(): string {
    return `${this.#clock.now().toISOString().slice(0, 19)}Z`;
  }

  addCompany(name: string, options: { active?: boolean } = {}): CwCompany {
    const id = this.nextId();
    const company: CwCompany = {
      id,
      identifier: `C${id}`,
      name,
      status: options.active === false ? { id: 2, name: 'Not a customer' } : { id: 1, name: 'Active' },
      deletedFlag: false,
      lastUpdated: this.now(),
    };
    this.companies.set(id, company);
    this.changed('company', id, 'added', company, false);
    return company;
  }

  renameCompany(id: number, name: string): void {
    this.#editCompany(id, { name });
  }

  deactivateCompany(id: number): void {
    this.#editCompany(id, { status: { id: 2, name: 'Not a customer' } });
  }

  deleteCompany(id: number): void {
    this.#editCompany(id, { deletedFlag: true });
  }

  /** An agreement with one addition on it: the smallest thing that is billed. */
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
    const start = `${options.startDate ?? '2026-01-01'}T00:00:00Z`;
    const agreement: CwAgreement = {
      id: this.nextId(),
      name: 'Managed services',
      company: { id: companyId },
      startDate: start,
      endDate: options.endDate === undefined || options.endDate === null ? null : `${options.endDate}T00:00:00Z`,
      noEndingDateFlag: (options.endDate ?? null) === null,
      cancelledFlag: options.cancelled === true,
      agreementStatus: options.cancelled === true ? 'Cancelled' : 'Active',
      currency: { id: 1, currencyCode: 'USD' },
      customFields: [],
      lastUpdated: this.now(),
    };
    this.agreements.set(agreement.id, agreement);
    const addition = this.addAddition(agreement.id, options);
    return { contractId: String(agreement.id), lineId: String(addition.id) };
  }

  addAddition(
    agreementId: number,
    options: { name?: string; quantity?: number; unitPrice?: number; startDate?: string } = {},
  ): CwAddition {
    const name = options.name ?? 'Mail security';
    const quantity = options.quantity ?? 10;
    const unitPrice = options.unitPrice ?? 2.5;
    const addition: CwAddition = {
      id: this.nextId(),
      agreementId,
      product: { id: 1, identifier: name.toUpperCase().replaceAll(' ', '-') },
      description: name,
      quantity,
      unitPrice,
      extPrice: quantity * unitPrice,
      billCustomer: 'Billable',
      effectiveDate: `${options.startDate ?? '2026-01-01'}T00:00:00Z`,
      cancelledDate: null,
      customFields: [],
    };
    this.additions.set(addition.id, addition);
    return addition;
  }

  /** A technician closes a ticket. */
  closeTicket(id: number): void {
    const ticket = this.tickets.get(id);
    const status = this.statuses.find((s) => s.boardId === ticket?.board.id && s.closedStatus && !s.inactive);
    if (ticket === undefined || status === undefined) return;
    this.setTicketStatus(ticket, status);
    this.changed('ticket', id, 'updated', ticket, false);
  }

  setTicketStatus(ticket: CwTicket, status: CwStatus): void {
    ticket.status = { id: status.id, name: status.name };
    ticket.closedFlag = status.closedStatus;
    ticket.closedDate = status.closedStatus ? this.now() : null;
    ticket.lastUpdated = this.now();
  }

  deleteTicket(id: number): void {
    if (this.tickets.delete(id)) this.changed('ticket', id, 'deleted', null, false);
  }

  /** The child is closed and points to the parent. */
  mergeTicket(childId: number, parentId: number): void {
    const [child, parent] = [this.tickets.get(childId), this.tickets.get(parentId)];
    if (child === undefined || parent === undefined) return;
    this.closeTicket(childId);
    child.mergedParentTicket = { id: parentId };
    parent.hasMergedChildTicketFlag = true;
    this.changed('ticket', childId, 'updated', child, false);
  }

  #editCompany(id: number, change: Partial<CwCompany>): void {
    const company = this.companies.get(id);
    if (company === undefined) return;
    Object.assign(company, change, { lastUpdated: this.now() });
    this.changed('company', id, 'updated', company, false);
  }
}
