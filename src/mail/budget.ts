export interface ArchiveLimits {
  /** Archives in archives that are opened; the attachment itself is level 0. */
  readonly depth: number;
  /** Files in all archives of one message. */
  readonly entries: number;
  /** Octets that may come out of all archives of one message. */
  readonly inflated: number;
  /** Octets that may come out of one file. */
  readonly member: number;
  /** How many times larger a file of a mebibyte or more may be than its compressed form. */
  readonly ratio: number;
}

export const ARCHIVE_LIMITS: ArchiveLimits = {
  depth: 3,
  entries: 1000,
  inflated: 100 * 1024 * 1024,
  member: 64 * 1024 * 1024,
  ratio: 100,
};

/** What the inspection of one message may still spend; shared by all its attachments. Counts its work for the tests. */
export class Budget {
  readonly limits: ArchiveLimits;
  entriesUsed = 0;
  inflatedUsed = 0;
  /** Octets read from archives, those read twice counted twice. */
  readUsed = 0;

  constructor(limits: ArchiveLimits = ARCHIVE_LIMITS) {
    this.limits = limits;
  }

  /** False: no further file may be looked at. */
  takeEntry(): boolean {
    if (this.entriesUsed >= this.limits.entries) return false;
    this.entriesUsed += 1;
    return true;
  }

  /** False: reading so many octets more would be more than an honest archive needs. */
  takeRead(bytes: number): boolean {
    this.readUsed += bytes;
    return this.readUsed <= 4 * this.limits.inflated;
  }

  get inflatable(): number {
    return Math.max(0, Math.min(this.limits.member, this.limits.inflated - this.inflatedUsed));
  }
}

/** A file found in a container. */
export interface Member {
  /** All names under which a program might unpack it. */
  readonly names: readonly string[];
  /** Null: it cannot be read (encrypted, unknown method, damaged). */
  readonly content: Buffer | null;
  readonly bytes: number;
  readonly encrypted: boolean;
  /** As declared, where containers declare it. */
  readonly contentType?: string;
}

/** What a walker tells of a container: codes such as `archive.overlap`, and each file as it comes. */
export interface Visitor {
  flag(code: string): void;
  member(member: Member): Promise<void>;
}
