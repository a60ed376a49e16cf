/**
 * The port to a PSA (professional services automation): what tickets, billing and reports ask of ConnectWise and
 * Autotask. Connectors in integrations/ implement it; nothing else knows a vendor.
 *
 * Errors, for every method: AppError with
 * - `upstream_rejected`: the PSA understood and refused; repeating changes nothing. The PSA's own words are in the message.
 * - `unavailable`: certainly not carried out (refused connection, 429, circuit open); `retryAfter` where known.
 * - `upstream_ambiguous`: a write whose outcome is unknown (time-out after sending, 502, connection lost). Read first.
 * - `unauthenticated` / `forbidden`: credentials or rights.
 * A connector repeats reads and nothing else: a create or a delta is sent once (rule 7).
 */
export const PSA_KINDS = ['connectwise', 'autotask'] as const;
export type PsaKind = (typeof PSA_KINDS)[number];

export interface PsaCompany {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
}

export interface PsaTicket {
  readonly id: string;
  /** What a technician sees: CW the id, Autotask `T20261124.0001`. */
  readonly number: string;
  /** Our key from `externalXRef` / `externalID`; empty when a person made the ticket. */
  readonly key: string;
  readonly companyId: string;
  readonly title: string;
  readonly open: boolean;
}

export interface TicketInput {
  readonly companyId: string;
  /** Cut to the vendor's length by the connector, by code point, with `…`; the full text goes in the description. */
  readonly title: string;
  readonly description: string;
  /** At most 50 characters (Autotask's `externalID` is the shorter), chosen by `ticketKey`. */
  readonly key: string;
  readonly priority: 'low' | 'normal' | 'high' | 'critical';
  /**
   * The request leaves by this moment or not at all (`unavailable` then): a connector may have to stand in line, and the
   * caller decides what to do about an unclear creation by how long ago it can have been sent at the latest.
   */
  readonly sendBy?: Date;
}

export interface TicketNote {
  readonly title: string;
  readonly text: string;
  /** Internal notes are for technicians only. */
  readonly internal: boolean;
}

export interface PsaDocument {
  readonly id: string;
  readonly title: string;
  readonly fileName: string;
  readonly bytes: number | null;
}

export interface DocumentInput {
  readonly title: string;
  readonly fileName: string;
  readonly contentType: string;
  readonly data: Uint8Array;
}

/** One billed line: a ConnectWise agreement addition, an Autotask contract service. */
export interface SubscriptionRef {
  /** CW agreement id, Autotask contract id. */
  readonly contractId: string;
  /** CW addition id, Autotask contractServiceID. */
  readonly lineId: string;
}

export interface Subscription {
  readonly ref: SubscriptionRef;
  readonly companyId: string;
  readonly name: string;
  /** Units in force on the day that was asked for. */
  readonly quantity: number;
  readonly unitPrice: string | null;
  readonly currency: string | null;
  /** Lines of anything but `active` are never written to. */
  readonly status: 'active' | 'cancelled' | 'expired' | 'pending';
  /** The first day (`YYYY-MM-DD`) from which a change touches no period that is already billed. */
  readonly earliestEffectiveDate: string;
}

export interface QuantityChange {
  /** What the line was read to hold just before. */
  readonly before: number;
  readonly target: number;
  /** `YYYY-MM-DD`; not before the line's `earliestEffectiveDate`. */
  readonly effectiveDate: string;
  /** As in TicketInput. */
  readonly sendBy?: Date;
}

export interface Psa {
  readonly kind: PsaKind;
  /** Proves address, credentials and rights; the answer names what was found, for `psa connect` to print. */
  check(): Promise<{ readonly version: string; readonly notes: readonly string[] }>;

  /** Companies whose name holds `text`; all of them, page by page, when it is empty. */
  findCompanies(text: string): Promise<readonly PsaCompany[]>;
  /** Null: no such company. */
  getCompany(id: string): Promise<PsaCompany | null>;

  /** All tickets that carry the key, newest first, open or not. */
  findTickets(key: string): Promise<readonly PsaTicket[]>;
  /** Null: deleted or never there. A merged ticket answers with the ticket that it was merged into. */
  getTicket(id: string): Promise<PsaTicket | null>;
  createTicket(input: TicketInput): Promise<PsaTicket>;
  addNote(ticketId: string, note: TicketNote): Promise<void>;
  /** Closes the ticket with a resolution text. Closing a closed ticket changes nothing. */
  resolveTicket(ticketId: string, resolution: string): Promise<PsaTicket>;

  attachToCompany(companyId: string, document: DocumentInput): Promise<PsaDocument>;
  listCompanyDocuments(companyId: string): Promise<readonly PsaDocument[]>;

  listSubscriptions(companyId: string): Promise<readonly Subscription[]>;
  /** The line as it stands on `onDate` (`YYYY-MM-DD`). Null: no such line. A failed read throws: it is never a zero. */
  readSubscription(ref: SubscriptionRef, onDate: string): Promise<Subscription | null>;
  /**
   * Sends one change: ConnectWise the absolute `target`, Autotask the delta `target - before`. Sent once, not repeated and
   * not read back: the caller owns the protocol (intent row, read before, settle window, read after).
   */
  writeQuantity(ref: SubscriptionRef, change: QuantityChange): Promise<void>;
}

/** How connectors are made; the composition root hands the factory to jobs and the command line. */
export interface PsaConnection {
  readonly id: string;
  readonly partnerId: string;
  readonly kind: PsaKind;
  readonly url: string;
  readonly credentials: Readonly<Record<string, string>>;
  /** Vendor settings that the operator chose (board, queue, priorities); empty means the PSA's defaults. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export type PsaFactory = (connection: PsaConnection) => Psa;
