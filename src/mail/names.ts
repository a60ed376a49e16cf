const NAME_MAX = 255;

// C0, C1, soft hyphen, zero-width, bidi controls and isolates, variation selectors, tags, BOM, fillers.
const INVISIBLE =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass lint/suspicious/noControlCharactersInRegex: these are the characters to be removed
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;

/**
 * An attachment's name as the recipient's system will take it: NFKC, without the characters that cannot be seen or that
 * turn the text round, without path, without what Windows drops (trailing dots and spaces, `::$DATA`). At most 255
 * characters, of which the end is kept, since that is where the type is.
 */
export function normalizeName(raw: string): string {
  // What cannot be seen goes first: thousands of it must not push the extension out of the part that is kept.
  let name = raw
    .slice(-65_536)
    .replace(INVISIBLE, '')
    .trimEnd()
    .slice(-4 * NAME_MAX);
  name = name.normalize('NFKC').replace(INVISIBLE, '');
  name = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1);
  name = trimEnd(name);
  // An alternate data stream opens the file before the colon.
  const stream = name.indexOf(':');
  if (stream > 0) name = trimEnd(name.slice(0, stream));
  return [...name.trimStart()].slice(-NAME_MAX).join('');
}

function trimEnd(name: string): string {
  let end = name.length;
  while (end > 0 && /[.\s]/.test(name[end - 1] ?? '')) end -= 1;
  return name.slice(0, end);
}

/** Lower-case, without the dot; empty when there is none. Expects a normalised name. */
export function extensionOf(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot < 0
    ? ''
    : name
        .slice(dot + 1)
        .trim()
        .toLowerCase();
}

/** Gmail's list of blocked types (support.google.com/mail/answer/6590). */
const GMAIL =
  'ade adp apk appx appxbundle bat cab chm cmd com cpl diagcab diagcfg diagpkg dll dmg ex ex_ exe hta img ins iso isp jar jnlp js jse lib lnk mde mjs msc msi msix msixbundle msp mst nsh pif ps1 scr sct shb sys vb vbe vbs vhd vxd wsc wsf wsh xll';

/** Outlook's Level 1 list (technet cc179163 and its successors), less what Gmail has already. */
const OUTLOOK =
  'app appcontent-ms application appref-ms asp aspx asx bas bgi cer cnt crt csh der diagpack fxp gadget grp hlp hpj htc inf its jnt ksh ksh lnk mad maf mag mam maq mar mas mat mau mav maw mcf mda mdb mdt mdw mdz msh msh1 msh2 mshxml msh1xml msh2xml msrcincident msu ops osd pcd pl plg prf prg printerexport ps1xml ps2 ps2xml psc1 psc2 psd1 psdm1 psm1 pst py pyc pyo pyw pyz pyzw rb reg rqy scf settingcontent-ms shs theme tmp udl url vbp vhdx vsmacros vsw webpnp website ws xbap xnk';

/** What newer campaigns use: OneNote, virtual disks, search files, Mac and Linux programs, add-ins. */
const NEWER =
  'one onepkg wim vmdk library-ms search-ms wll ppam xlam action command desktop elf run sh workflow deb rpm pkg slk iqy swf class war';

/** Types that run code when opened; refused in mail by at least one of the big providers. */
export const DANGEROUS_EXTENSIONS: ReadonlySet<string> = new Set(`${GMAIL} ${OUTLOOK} ${NEWER}`.split(' '));

/** Office types that carry macros by their own declaration. */
export const MACRO_EXTENSIONS: ReadonlySet<string> = new Set(
  'docm dotm xlsm xltm xlsb pptm potm ppsm sldm mdam'.split(' '),
);

/** Types that people trust: in front of another extension they are there to deceive. */
const DECOY = new Set(
  'pdf doc docx xls xlsx ppt pptx rtf odt ods csv txt jpg jpeg png gif tif tiff bmp mp3 mp4 avi mov wav htm html eml msg zip'.split(
    ' ',
  ),
);

export interface NameFindings {
  readonly name: string;
  readonly extension: string;
  /** The extension, or one that Windows would fall back on, runs code. */
  readonly dangerous: boolean;
  readonly macro: boolean;
  /** `invoice.pdf.exe`, or a long gap of spaces before the real extension. */
  readonly doubleExtension: boolean;
  /** The raw name held characters that hide or reverse it. */
  readonly disguised: boolean;
}

/** All that a name alone says. */
export function inspectName(raw: string): NameFindings {
  const name = normalizeName(raw);
  const extension = extensionOf(name);
  const before = extensionOf(name.slice(0, -(extension.length + 1)));
  const dangerous = DANGEROUS_EXTENSIONS.has(extension) || otherReadings(raw).some(isDangerous);
  const risky = dangerous || MACRO_EXTENSIONS.has(extension);
  return {
    name,
    extension,
    dangerous,
    macro: MACRO_EXTENSIONS.has(extension),
    doubleExtension: risky && (DECOY.has(before) || /\s{5,}\.?[^.]*$/.test(name)),
    disguised: OVERRIDE.test(raw) || (risky && BIDI.test(raw)) || raw.includes('\u0000') || /::?\$/.test(raw),
  };
}

/** As a program reads it that undoes percent signs, and as one whose strings end at a NUL. */
function otherReadings(raw: string): string[] {
  const tail = raw.slice(-4 * NAME_MAX);
  const decoded = tail.includes('%')
    ? tail.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : tail;
  const ended = decoded.slice(0, decoded.includes('\0') ? decoded.indexOf('\0') : undefined);
  return [decoded, ended].filter((one) => one !== tail);
}

function isDangerous(raw: string): boolean {
  return DANGEROUS_EXTENSIONS.has(extensionOf(normalizeName(raw)));
}

/** Turns Latin letters round: no honest name needs it. */
const OVERRIDE = /[\u202d\u202e]/;
/** Honest in Hebrew and Arabic names, and in front of a program's extension never. */
const BIDI = /[\u200e\u200f\u202a-\u202c\u2066-\u2069\u061c]/;
