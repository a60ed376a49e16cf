/** Something wrong with a record in the DNS. `code` is stable; `message` is for people. */
export interface RecordProblem {
  readonly code: string;
  readonly message: string;
}

/** What a domain publishes of one kind (SPF, DMARC), and what should be there instead. */
export interface RecordAdvice {
  /** Null: there is none, or more than one. */
  readonly record: string | null;
  readonly problems: readonly RecordProblem[];
  /** The record to publish; null when the one that is there is right, or when a person has to choose. */
  readonly suggestion: string | null;
}

/** What a domain's records should say so that reports about it come to an address. */
export interface ReportRecords {
  readonly address: string;
  readonly dmarcName: string;
  readonly dmarc: RecordAdvice;
  readonly tlsName: string;
  readonly tls: RecordAdvice;
  /** Of the report domain, which the operator publishes: RFC 7489 section 7.1. */
  readonly permissionName: string;
  readonly permission: RecordAdvice;
}
