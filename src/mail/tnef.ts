import type { Budget, Visitor } from './budget.ts';
import { decodeText } from './fields.ts';

const ATTACHMENT_DATA = 0x800f;
const ATTACHMENT_TITLE = 0x8010;
const ATTACHMENT_RENDER = 0x9002;
const ATTACHMENT_PROPERTIES = 0x9005;

/** PidTagAttachLongFilename, PidTagAttachFilename, as 8 bit and as UTF-16; PidTagAttachDataBinary and -Object (MS-OXPROPS). */
const LONG_NAMES = [0x3707001e, 0x3707001f, 0x3704001e, 0x3704001f];
const DATA_BINARY = 0x37010102;
const DATA_OBJECT = 0x3701000d;
const IID = 16;

/** Shows the files in a TNEF container (`winmail.dat`, MS-OXTNEF section 2.1): records of level, id, length, data, sum. */
export async function walkTnef(content: Buffer, budget: Budget, visitor: Visitor): Promise<void> {
  let at = 6;
  let names: string[] = [];
  let data: Buffer | null = null;
  const finish = async () => {
    if (data === null) return;
    const found = data;
    data = null;
    if (!budget.takeEntry()) return visitor.flag('archive.entries');
    await visitor.member({
      names: names.length === 0 ? ['unnamed'] : names,
      content: found,
      bytes: found.length,
      encrypted: false,
    });
    names = [];
  };
  while (at + 11 <= content.length) {
    const id = content.readUInt16LE(at + 1);
    const length = content.readUInt32LE(at + 5);
    const start = at + 9;
    if (start + length + 2 > content.length) {
      visitor.flag('archive.truncated');
      break;
    }
    const value = content.subarray(start, start + length);
    if (id === ATTACHMENT_RENDER) await finish();
    else if (id === ATTACHMENT_TITLE) names.push(decodeText(value).replace(/\0.*$/s, ''));
    else if (id === ATTACHMENT_PROPERTIES) {
      for (const tag of LONG_NAMES) {
        const raw = property(value, tag);
        if (raw !== null)
          names.push((tag % 16 === 15 ? raw.toString('utf16le') : decodeText(raw)).replace(/\0.*$/s, ''));
      }
      // The same file, or an attached message that has no other form.
      const object = property(value, DATA_OBJECT)?.subarray(IID) ?? property(value, DATA_BINARY);
      if (object !== null && object !== undefined) {
        await finish();
        data = object;
      }
    } else if (id === ATTACHMENT_DATA) {
      await finish();
      data = value;
    }
    at = start + length + 2;
  }
  await finish();
}

/**
 * The first value of a property in a list of them (MS-OXTNEF section 2.1.3.4): tag, number of values, length, value. The list is
 * searched for the tag, since named properties of unknown length lie between.
 */
function property(list: Buffer, tag: number): Buffer | null {
  const mark = Buffer.alloc(4);
  mark.writeUInt32LE(tag);
  for (let at = list.indexOf(mark); at >= 0 && at + 12 <= list.length; at = list.indexOf(mark, at + 4)) {
    const length = list.readUInt32LE(at + 8);
    if (list.readUInt32LE(at + 4) === 1 && at + 12 + length <= list.length)
      return list.subarray(at + 12, at + 12 + length);
  }
  return null;
}
