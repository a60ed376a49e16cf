/** What the parser hands to the pipeline: plain data that crosses a thread boundary. All texts are bounded. */
export interface ParsedMail {
  /** In the order of the message; names lower-case, values unfolded and decoded. */
  readonly headers: readonly HeaderField[];
  readonly from: readonly MailAddress[];
  readonly replyTo: readonly MailAddress[];
  readonly to: readonly MailAddress[];
  readonly cc: readonly MailAddress[];
  readonly subject: string;
  readonly messageId: string;
  readonly date: Date | null;
  /** Text parts joined, at most `TEXT_MAX` characters. */
  readonly text: string;
  /** HTML parts joined as they came, at most `HTML_MAX` characters. */
  readonly html: string;
  /** What a reader of the HTML part sees: tags, styles, comments and invisible text removed. */
  readonly htmlText: string;
  /** Invisible text of the HTML part (display:none, zero size, colour of the background). */
  readonly hiddenText: string;
  readonly links: readonly Link[];
  readonly images: readonly { readonly src: string }[];
  readonly hasForm: boolean;
  readonly attachments: readonly ParsedAttachment[];
  /** What was found in the text and HTML parts themselves: EICAR, HTML smuggling. It has no entries. */
  readonly body: Inspection;
  /** Things that honest mail does not have: `duplicate_content_type`, `duplicate_boundary`, `uuencode`, `bare_cr_header` … */
  readonly anomalies: readonly string[];
}

export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

export interface MailAddress {
  /** Normalised where it parses, else as it came. */
  readonly address: string;
  readonly name: string;
}

export interface Link {
  readonly href: string;
  readonly text: string;
}

export interface ParsedAttachment {
  /** After NFKC, removal of bidi, zero-width and NUL, trailing dots and spaces, `::$DATA`. */
  readonly name: string;
  readonly rawName: string;
  /** As declared, lower-case, without parameters. */
  readonly contentType: string;
  /** By magic bytes (`application/x-msdownload`, `application/zip` …); null when the content says nothing. */
  readonly sniffedType: string | null;
  readonly bytes: number;
  readonly sha256: string;
  readonly inspection: Inspection;
}

/** What is inside, archives opened within bounds. */
export interface Inspection {
  /** Names of all inner files, normalised, with their path through nested archives (`a.zip/b.exe`). */
  readonly entries: readonly { readonly path: string; readonly sniffedType: string | null; readonly bytes: number }[];
  readonly executable: boolean;
  readonly macro: boolean;
  readonly encrypted: boolean;
  /** Headers disagree, bounds exceeded, trailing data: what an attacker does and a packer does not. */
  readonly suspicious: readonly string[];
  /** What a document does by itself though honest ones do it too: `pdf.javascript`, `pdf.embedded_file`, `pdf.launch`. */
  readonly active: readonly string[];
  /** The EICAR test file, here or inside. */
  readonly eicar: boolean;
  readonly htmlSmuggling: boolean;
}

export interface AuthenticationResult {
  /** Not `none`: the resolver failed. Stages leave it out of the score instead of scoring a failure. */
  readonly available: boolean;
  readonly spf: { readonly result: string; readonly domain: string; readonly aligned: boolean };
  readonly dkim: readonly { readonly result: string; readonly domain: string; readonly aligned: boolean }[];
  readonly dmarc: { readonly result: string; readonly policy: string; readonly domain: string };
  readonly arc: { readonly result: string };
  /** Value for an Authentication-Results header, authserv-id first. */
  readonly header: string;
}
