import { createHash } from 'node:crypto';
import { AppError } from '../../core/errors.ts';

/** What is exported: moments, `to` not included; `clientId` null: of all clients. */
export interface ExportRange {
  readonly from: Date;
  readonly to: Date;
  readonly clientId: string | null;
}

/**
 * How far an export is. A pass gives the events of the transactions from `low` on and below `high`; all of them had ended when
 * the pass began, so what a pass gives is the same however often it is interrupted. The next pass begins at `high`.
 */
export interface ExportPosition {
  /** Of which database the transaction ids are. */
  readonly cluster: string;
  readonly low: string;
  readonly high: string;
  /** Through when all was counted as the pass began. */
  readonly completeThrough: Date | null;
  /** UTC day that is being given, in days since 1970. */
  readonly day: number;
  /** The last event that was given of that day; null: none. */
  readonly after: string | null;
}

const VERSION = 1;
const LENGTH = 61;
const NO_ID = '0'.repeat(32);

/** Of which query a cursor is: with another one it means nothing. */
function rangeHash(partnerId: string, { from, to, clientId }: ExportRange): Buffer {
  const text = `${partnerId} ${from.toISOString()} ${to.toISOString()} ${clientId ?? ''}`;
  return createHash('sha256').update(text).digest().subarray(0, 8);
}

/** A position as text, opaque to callers. It holds no secret: with another key it gives that key's own events. */
export function writeCursor(partnerId: string, range: ExportRange, position: ExportPosition): string {
  const bytes = Buffer.alloc(LENGTH);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeBigUInt64BE(BigInt(position.cluster), 1);
  bytes.writeBigUInt64BE(BigInt(position.low), 9);
  bytes.writeBigUInt64BE(BigInt(position.high), 17);
  bytes.writeBigInt64BE(BigInt(position.completeThrough?.getTime() ?? -1), 25);
  bytes.writeInt32BE(position.day, 33);
  bytes.write((position.after ?? NO_ID).replaceAll('-', ''), 37, 'hex');
  rangeHash(partnerId, range).copy(bytes, 53);
  return bytes.toString('base64url');
}

/** The position in a cursor of the same partner and range. Throws `invalid_input`. */
export function readCursor(partnerId: string, range: ExportRange, cursor: string): ExportPosition {
  const fault = () => new AppError('invalid_input', 'cursor is not one of this export', { field: 'cursor' });
  if (!/^[\w-]{82}$/.test(cursor)) throw fault();
  const bytes = Buffer.from(cursor, 'base64url');
  if (bytes.length !== LENGTH || bytes.readUInt8(0) !== VERSION) throw fault();
  if (!bytes.subarray(53).equals(rangeHash(partnerId, range))) throw fault();
  const through = Number(bytes.readBigInt64BE(25));
  const hex = bytes.toString('hex', 37, 53);
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  const completeThrough = through === -1 ? null : new Date(through);
  if (Number.isNaN(completeThrough?.getTime() ?? 0)) throw fault();
  return {
    cluster: bytes.readBigUInt64BE(1).toString(),
    low: bytes.readBigUInt64BE(9).toString(),
    high: bytes.readBigUInt64BE(17).toString(),
    completeThrough,
    day: bytes.readInt32BE(33),
    after: hex === NO_ID ? null : id,
  };
}
