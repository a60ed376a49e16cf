import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../config/root.ts';
import { AppError } from '../core/errors.ts';
import { BUCKETS } from './features.ts';

/** A linear model over hashed features. `margin` is the log-odds of spam; beyond ±6 it means nothing more. */
export interface ContentModel {
  readonly version: number;
  margin(features: Uint32Array): number;
}

const MAGIC = 'TGCM';
const FORMAT = 1;
const HEADER = 24;

/**
 * Layout of data/model.bin, little-endian: magic `TGCM`, uint16 format, uint16 log2 of the buckets, uint32 version,
 * float32 bias, float32 step, 4 bytes zero, then one int8 per bucket: weight = value × step.
 */
export function encodeModel(weights: Float32Array, bias: number, version: number): Buffer {
  const largest = weights.reduce((max, weight) => Math.max(max, Math.abs(weight)), 0);
  const step = largest / 127 || 1;
  const bytes = Buffer.alloc(HEADER + BUCKETS);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt16LE(FORMAT, 4);
  bytes.writeUInt16LE(Math.log2(BUCKETS), 6);
  bytes.writeUInt32LE(version, 8);
  bytes.writeFloatLE(bias, 12);
  bytes.writeFloatLE(step, 16);
  for (let at = 0; at < BUCKETS; at += 1) bytes.writeInt8(Math.round((weights[at] ?? 0) / step), HEADER + at);
  return bytes;
}

/** Throws AppError `config_invalid` when the bytes are no model of this format. */
export function decodeModel(bytes: Buffer): ContentModel {
  const fits =
    bytes.length === HEADER + BUCKETS &&
    bytes.toString('latin1', 0, 4) === MAGIC &&
    bytes.readUInt16LE(4) === FORMAT &&
    1 << bytes.readUInt16LE(6) === BUCKETS;
  if (!fits) throw new AppError('config_invalid', 'the content model file is damaged or of another version');
  const bias = bytes.readFloatLE(12);
  const step = bytes.readFloatLE(16);
  const weights = new Int8Array(bytes.buffer, bytes.byteOffset + HEADER, BUCKETS);
  return {
    version: bytes.readUInt32LE(8),
    margin(features) {
      let sum = 0;
      for (const feature of features) sum += weights[feature] ?? 0;
      return bias + (sum * step) / Math.sqrt(Math.max(features.length, 1));
    },
  };
}

export function modelPath(): string {
  return path.join(packageRoot(), 'data', 'model.bin');
}

export function loadModel(file: string = modelPath()): ContentModel {
  return decodeModel(readFileSync(file));
}
