import type { Readable } from 'node:stream';

export interface StoredContent {
  readonly id: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** A message that has come in whole and may still be on its way to the disk. */
export interface ArrivingContent extends StoredContent {
  /** All of it, when it is small enough to be held. Null: it is read at its place, and is stored already. */
  readonly message: Uint8Array | null;
  /** Resolves when it survives a loss of power (rule 1). Rejects with the disk's error, and then nothing of it is left. */
  readonly stored: Promise<void>;
}

/** Message bodies, outside the database (rule 1). The gateway's spool implements it; others only read. */
export interface ContentStore {
  /** The bytes of a stored message. Throws AppError `not_found` when there is none. */
  open(id: string): Promise<Readable>;
  /** A path that a worker thread may read. Throws AppError `not_found` when there is none. */
  path(id: string): Promise<string>;
  /** Removing what is not there is no error: a sweep may come twice. */
  remove(id: string): Promise<void>;
}
