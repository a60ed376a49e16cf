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
