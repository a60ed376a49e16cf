import type { ParsedMail } from '../mail/types.ts';
import { BUCKETS, featuresOf } from './features.ts';

/** What a client's own model may see of a message: its features, bounded, and what the content model thinks. */
export interface Learnable {
  /** Sorted, at most FEATURES_MAX. */
  readonly features: Uint32Array;
  /** Log-odds of spam. */
  readonly margin: number;
}

export const FEATURES_MAX = 512;

/** The feature weights of one voice, sorted by feature. */
export interface Weights {
  readonly ids: Uint32Array;
  readonly values: Float32Array;
}

/** A client's own model: what counts for all of its mailboxes, and what for the mailbox alone that said it. */
export interface Learned {
  readonly shared: Weights;
  readonly own: ReadonlyMap<string, Weights>;
}

/** Bounds of a stored model: sections besides the shared one, and features in each. */
export const LEARNED = Object.freeze({ mailboxes: 100, sharedFeatures: 4_096, ownFeatures: 160 });

/** What a model gives or takes at most, points. */
export const LEARNED_POINTS = 1.5;
/** Log-odds below which nothing is said: what mail of all kinds has in common must not count. */
const SILENT = 0.65;
const SOFTNESS = 0.6;

const NOTHING: Weights = { ids: new Uint32Array(0), values: new Float32Array(0) };
export const NOTHING_LEARNED: Learned = { shared: NOTHING, own: new Map() };

const seen = new WeakMap<ParsedMail, Uint32Array>();

/** featuresOf, once per message. */
export function featuresOnce(mail: ParsedMail): Uint32Array {
  const known = seen.get(mail) ?? featuresOf(mail);
  seen.set(mail, known);
  return known;
}

/**
 * At most FEATURES_MAX of the features, sorted. Of longer messages those with the smallest mixed value stay: the choice hangs
 * on the feature alone, so that two messages with the same words keep the same ones.
 */
export function bounded(features: Uint32Array): Uint32Array {
  if (features.length <= FEATURES_MAX) return features.toSorted();
  // Rank and feature in one exact number, rank first: a typed array sorts without comparing objects.
  const ranked = Float64Array.from(features, (id) => mixed(id) * BUCKETS + id).sort();
  return Uint32Array.from(ranked.subarray(0, FEATURES_MAX), (one) => one % BUCKETS).sort();
}

function mixed(id: number): number {
  let hash = Math.imul(id ^ 0x9e3779b9, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Points for a message to the mailbox, from -LEARNED_POINTS to LEARNED_POINTS. */
export function learnedPoints(learned: Learned, mailboxId: string | null, features: Uint32Array): number {
  const own = mailboxId === null ? undefined : learned.own.get(mailboxId);
  const sum = sumOf(learned.shared, features) + (own === undefined ? 0 : sumOf(own, features));
  const odds = sum / Math.sqrt(Math.max(1, features.length));
  const loud = Math.sign(odds) * Math.max(0, Math.abs(odds) - SILENT);
  return LEARNED_POINTS * Math.tanh(loud / SOFTNESS);
}

/** Both are sorted. */
function sumOf({ ids, values }: Weights, features: Uint32Array): number {
  let sum = 0;
  let at = 0;
  for (const feature of features) {
    while (at < ids.length && (ids[at] ?? 0) < feature) at += 1;
    if (at < ids.length && ids[at] === feature) sum += values[at] ?? 0;
  }
  return sum;
}

const MAGIC = 'TGLM';
const FORMAT = 1;
const HEADER = 10;
const SECTION = 22;
const ENTRY = 5;
const SHARED_KEY = '00000000000000000000000000000000';

/**
 * Little-endian: magic `TGLM`, uint16 format, uint16 log2 of the buckets, uint16 sections; of each section 16 bytes mailbox id
 * (zero: shared), uint16 features, float32 step, then of each feature uint32 bucket and int8: weight = value × step. Sections
 * and features are sorted, so that the same model is the same bytes.
 */
export function encodeLearned(learned: Learned): Buffer {
  const own = [...learned.own].map(([id, weights]) => ({ key: id.replaceAll('-', ''), weights }));
  const sections = [{ key: SHARED_KEY, weights: learned.shared }, ...own.toSorted((a, b) => (a.key < b.key ? -1 : 1))];
  const filled = sections.filter((one) => one.weights.ids.length > 0);
  const head = Buffer.alloc(HEADER);
  head.write(MAGIC, 0, 'latin1');
  head.writeUInt16LE(FORMAT, 4);
  head.writeUInt16LE(Math.log2(BUCKETS), 6);
  head.writeUInt16LE(filled.length, 8);
  return Buffer.concat([head, ...filled.map(encodeSection)]);
}

function encodeSection({ key, weights: { ids, values } }: { key: string; weights: Weights }): Buffer {
  const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const step = Math.fround(largest / 127) || 1;
  const bytes = Buffer.alloc(SECTION + ENTRY * ids.length);
  bytes.write(key, 0, 'hex');
  bytes.writeUInt16LE(ids.length, 16);
  bytes.writeFloatLE(step, 18);
  for (const [index, id] of ids.entries()) {
    const at = SECTION + ENTRY * index;
    bytes.writeUInt32LE(id, at);
    bytes.writeInt8(Math.max(-127, Math.min(127, Math.round((values[index] ?? 0) / step))), at + 4);
  }
  return bytes;
}

/** Null when the bytes are no model of this format: a client is then without one until it is trained again. */
export function decodeLearned(bytes: Buffer): Learned | null {
  if (bytes.length < HEADER || bytes.toString('latin1', 0, 4) !== MAGIC) return null;
  if (bytes.readUInt16LE(4) !== FORMAT || bytes.readUInt16LE(6) !== Math.log2(BUCKETS)) return null;
  const own = new Map<string, Weights>();
  let shared = NOTHING;
  let at = HEADER;
  for (let left = bytes.readUInt16LE(8); left > 0; left -= 1) {
    if (bytes.length < at + SECTION) return null;
    const count = bytes.readUInt16LE(at + 16);
    if (bytes.length < at + SECTION + ENTRY * count) return null;
    const key = bytes.toString('hex', at, at + 16);
    const weights = decodeEntries(bytes, at + SECTION, count, bytes.readFloatLE(at + 18));
    if (key === SHARED_KEY) shared = weights;
    else own.set(key.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'), weights);
    at += SECTION + ENTRY * count;
  }
  return { shared, own };
}

function decodeEntries(bytes: Buffer, start: number, count: number, step: number): Weights {
  const ids = new Uint32Array(count);
  const values = new Float32Array(count);
  for (let index = 0; index < count; index += 1) {
    ids[index] = bytes.readUInt32LE(start + ENTRY * index);
    values[index] = bytes.readInt8(start + ENTRY * index + 4) * (Number.isFinite(step) ? step : 0);
  }
  return { ids, values };
}
