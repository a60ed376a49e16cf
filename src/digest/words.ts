import { en } from './words/en.ts';

/** All text of digests and quarantine pages in one language. Counts and names are put in by functions. */
export interface Words {
  /** BCP 47, for `lang` and for dates. */
  readonly locale: string;
  readonly digest: DigestWords;
  readonly page: PageWords;
}

export interface DigestWords {
  readonly subject: (count: number, whose: string) => string;
  readonly emptySubject: (whose: string) => string;
  readonly heading: string;
  readonly intro: (count: number, whose: string) => string;
  readonly nothing: (whose: string) => string;
  readonly more: (count: number) => string;
  readonly open: string;
  readonly expires: (when: string) => string;
  readonly never: string;
  readonly from: string;
  readonly to: string;
  readonly received: string;
  readonly reason: string;
  readonly noSubject: string;
  readonly noSender: string;
  readonly noRelease: string;
  readonly actions: {
    readonly view: string;
    readonly release: string;
    readonly allow: string;
    readonly block: string;
    readonly delete: string;
  };
}

export interface PageWords {
  readonly title: string;
  readonly whose: (whose: string) => string;
  readonly count: (count: number) => string;
  readonly empty: string;
  readonly noMatch: string;
  readonly searchLabel: string;
  readonly search: string;
  readonly clear: string;
  readonly selectOne: (subject: string) => string;
  readonly selected: string;
  readonly selectAll: string;
  readonly selectNone: string;
  readonly why: string;
  readonly older: string;
  readonly newest: string;
  readonly back: string;
  readonly do: {
    readonly release: string;
    readonly allow: string;
    readonly block: string;
    readonly delete: string;
    readonly ask: string;
  };
  readonly explain: {
    readonly release: string;
    readonly allow: string;
    readonly block: string;
    readonly delete: string;
  };
  readonly done: {
    readonly release: (count: number) => string;
    readonly allow: (count: number) => string;
    readonly block: (count: number) => string;
    readonly delete: (count: number) => string;
    readonly ask: (count: number) => string;
    readonly none: string;
    readonly refused: (count: number) => string;
  };
  readonly state: {
    readonly queued: string;
    readonly deferred: string;
    readonly released: string;
    readonly bounced: string;
    readonly expired: string;
    readonly discarded: string;
  };
  readonly malware: string;
  readonly notYours: string;
  readonly asked: string;
  readonly askWhy: string;
  readonly attachments: string;
  readonly preview: string;
  readonly noPreview: string;
  readonly remote: (count: number) => string;
  readonly cut: string;
  readonly expired: string;
  readonly expiredText: string;
  readonly forged: string;
  readonly forgedText: string;
  readonly busy: string;
  readonly busyText: string;
  readonly gone: string;
  readonly goneText: string;
  readonly fault: string;
  readonly faultText: string;
  readonly request: string;
  readonly requestText: string;
  readonly address: string;
  readonly send: string;
  readonly sent: string;
  readonly sentText: string;
}

const ALL: Readonly<Record<string, Words>> = { en };

/** Languages that there are words for. */
export const LANGUAGES: readonly string[] = Object.keys(ALL);

export function isLanguage(language: string): boolean {
  return Object.hasOwn(ALL, language);
}

/** The words of a language; English for one that is not there. */
export function wordsOf(language: string): Words {
  return ALL[isLanguage(language) ? language : 'en'] ?? en;
}
