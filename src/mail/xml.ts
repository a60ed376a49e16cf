import { setImmediate as turn } from 'node:timers/promises';
import { Parser } from 'htmlparser2';

export interface XmlElement {
  /** Without its namespace prefix, lower case. */
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

export interface XmlLimits {
  /** Elements in elements; the root is at 1. */
  readonly depth: number;
  /** Elements in all, and in one child of the root, which is held whole. */
  readonly elements: number;
  readonly inChild: number;
  /** Characters of the text of one element. */
  readonly text: number;
}

export const XML_LIMITS: XmlLimits = { depth: 12, elements: 2_000_000, inChild: 1_000, text: 4_096 };

/** What is wrong with the document: `xml.doctype`, `xml.depth`, `xml.elements`, `xml.text`, `xml.unclosed`, `xml.root`. */
export class XmlFault extends Error {
  override readonly name = 'XmlFault';
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const CHUNK = 65_536;

interface Open {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

/**
 * Reads a document and hands over each child of its root as it ends, so that no more than one is held. A document type is
 * refused and nothing is ever expanded but the five entities of XML and numbers. Other work gets its turn every 64 KiB.
 * Answers the name of the root. Rejects with XmlFault, and with what `onChild` throws.
 */
export async function readXml(
  text: string,
  onChild: (child: XmlElement) => void,
  limits: XmlLimits = XML_LIMITS,
): Promise<string> {
  const stack: Open[] = [];
  let elements = 0;
  let inChild = 0;
  let root: string | null = null;
  let done = false;
  let ending = false;
  const parser = new Parser(
    {
      onprocessinginstruction(name) {
        if (name.startsWith('!')) throw new XmlFault('xml.doctype');
      },
      onopentagname(tag) {
        if (done) throw new XmlFault('xml.root');
        elements += 1;
        inChild = stack.length <= 1 ? 0 : inChild + 1;
        if (elements > limits.elements || inChild > limits.inChild) throw new XmlFault('xml.elements');
        if (stack.length >= limits.depth) throw new XmlFault('xml.depth');
        const name = tag.slice(tag.indexOf(':') + 1).toLowerCase();
        root ??= name;
        stack.push({ name, text: '', children: [] });
      },
      ontext(data) {
        const top = stack.at(-1);
        // What lies between the children of the root is white space, and grows with their number.
        if (top === undefined || stack.length === 1) return;
        top.text += data;
        if (top.text.length > limits.text) throw new XmlFault('xml.text');
      },
      onclosetag(_tag, implied) {
        const closed = stack.pop();
        if (closed === undefined) return;
        // <a/> is told as implied too; what is implied at the end of the text, or by another tag's end, was cut off.
        if (implied && (ending || !selfClosed)) throw new XmlFault('xml.unclosed');
        const element = { name: closed.name, text: closed.text.trim(), children: closed.children };
        const above = stack.at(-1);
        if (above === undefined) done = true;
        else if (stack.length === 1) onChild(element);
        else above.children.push(element);
      },
    },
    { xmlMode: true, decodeEntities: true },
  );
  let selfClosed = false;
  const selfClosing = parser.onselfclosingtag.bind(parser);
  parser.onselfclosingtag = (end) => {
    selfClosed = true;
    try {
      selfClosing(end);
    } finally {
      selfClosed = false;
    }
  };
  for (let at = 0; at < text.length; at += CHUNK) {
    parser.write(text.slice(at, at + CHUNK));
    await turn();
  }
  ending = true;
  parser.end();
  if (root === null) throw new XmlFault('xml.root');
  if (!done) throw new XmlFault('xml.unclosed');
  return root;
}

/** The first element of a path below, or null. */
export function childOf(element: XmlElement | null, ...path: readonly string[]): XmlElement | null {
  let found = element;
  for (const name of path) found = found?.children.find((child) => child.name === name) ?? null;
  return found;
}

export const textOf = (element: XmlElement | null, ...path: readonly string[]): string =>
  childOf(element, ...path)?.text ?? '';
