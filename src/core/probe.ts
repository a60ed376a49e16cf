/** A client's mail server that is to be looked at. */
export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: 'none' | 'opportunistic' | 'required';
  /** A mailbox that the server should know; null: RCPT is left out. */
  readonly mailbox: string | null;
}

/** What a look at a mail server found. */
export interface ProbeResult {
  /** `ok`: it would take mail. `refused`: it answers, with 4yz or 5yz. `silent`: it does not answer, or not as SMTP. */
  readonly answer: 'ok' | 'refused' | 'silent';
  /** Milliseconds from the connection to the last answer that was looked for; null when it is silent. */
  readonly latencyMs: number | null;
  /** The text of its greeting, printable, at most 200 characters. */
  readonly banner: string | null;
  /** When the certificate behind STARTTLS ends; null: it offered none, or none was looked for. */
  readonly certificateUntil: Date | null;
  /** Why it is not `ok`, or what else is wrong; at most 500 characters. */
  readonly error: string | null;
}

/** Looks at a mail server without sending anything. Never rejects. */
export type ServerProbe = (target: ProbeTarget) => Promise<ProbeResult>;
