import type { Budget, Visitor } from './budget.ts';
import { decodeText } from './fields.ts';

const ATTACHMENT_DATA = 0x800f;
const ATTACHMENT_TITLE = 0x8010;
const ATTACHMENT_RENDER = 0x9002;

/** Shows the files in a TNEF container (`winmail.dat`, MS-OXTNEF section 2.1): records of level, id, length, data, sum. */
export async function walkTnef(content: Buffer, budget: Budget, visitor: Visitor): Promise<void> {
  let at = 6;
  let title = '';
  let data: Buffer | null = null;
  const finish = async () => {
    if (data === null) return;
    const found = data;
    data = null;
    if (!budget.takeEntry()) return visitor.flag('archive.entries');
    await visitor.member({ names: [title], content: found, bytes: found.length, encrypted: false });
    title = '';
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
    else if (id === ATTACHMENT_TITLE) title = decodeText(value).replace(/\0.*$/s, '');
    else if (id === ATTACHMENT_DATA) {
      await finish();
      data = value;
    }
    at = start + length + 2;
  }
  await finish();
}
