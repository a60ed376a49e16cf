import type { Verdict } from '../core/verdict.ts';

/** The stages in the order in which pipeline.ts runs them; `scan` speaks when the message could not be read. */
export const STAGE_NAMES = [
  'scan',
  'connection',
  'recipient',
  'authentication',
  'lists',
  'attachments',
  'rules',
  'content',
  'learning',
  'history',
  'links',
  'scanners',
] as const;
export type StageName = (typeof STAGE_NAMES)[number];

interface SymbolRow {
  readonly stage: StageName;
  /** Points towards spam. The usual threshold is 6 (Policy.spamScore); negative speaks for the message. */
  readonly weight: number;
  /** The verdict that the symbol gives by itself, whatever the score. */
  readonly verdict?: Verdict;
  /** Over the threshold, mail with this symbol is phish rather than spam. */
  readonly phishy?: true;
  /** A matter of form, as programs and devices get it wrong every day: decide.ts bounds what all of these say together. */
  readonly form?: true;
  /** For people: pages, digests and docs/filtering.md. */
  readonly words: string;
}

/**
 * Every reason code there is, with its weight and its words. Codes are stable for ever: statistics and tickets are keyed by
 * them. docs/filtering.md holds the same table and a test compares the two.
 */
export const SYMBOLS = {
  'scan.unparsable': row('scan', 0, 'The message breaks the bounds of the parser', 'unscannable'),
  'scan.memory': row('scan', 0, 'Reading the message took more memory than is allowed', 'unscannable'),
  'scan.timeout': row('scan', 0, 'Reading the message took longer than is allowed', 'unscannable'),
  'scan.crashed': row('scan', 0, 'The reader of the message stopped', 'unscannable'),
  'scan.unavailable': row('scan', 0, 'The filter was not available', 'unscannable'),
  'scan.aborted': row('scan', 0, 'Filtering was broken off before it was finished', 'unscannable'),

  'reputation.bad': row('connection', 2.5, 'Mostly unwanted mail came from the sending network lately (at most)'),
  'reputation.good': row('connection', -1, 'Mostly wanted mail came from the sending network lately (at most)'),
  'connection.listed': row('connection', 5, 'DNS block lists name the sending address (at most)'),
  'connection.allowed': row('connection', -2, 'DNS allow lists name the sending address (at most)'),

  'recipient.not_addressed': formal('recipient', 0.3, 'The recipient stands in neither To nor Cc'),
  'recipient.local_part_in_subject': row('recipient', 0.8, 'The subject greets with the local part of the address'),

  'auth.unavailable': row('authentication', 0, 'Sender authentication could not be looked up and was left out'),
  'auth.dmarc_pass': row('authentication', -0.5, 'The sender domain is authenticated (DMARC)'),
  'auth.arc_pass': row('authentication', 0, 'A forwarder vouches for the original authentication (ARC)'),
  'auth.none': formal('authentication', 0.7, 'Nothing authenticates the sender: no SPF, no DKIM, no DMARC'),
  'auth.spf_fail': row('authentication', 1.5, 'The sending server is not allowed for the envelope domain (SPF fail)'),
  'auth.spf_softfail': row(
    'authentication',
    0.8,
    'The sending server is doubtful for the envelope domain (SPF softfail)',
  ),
  'auth.dkim_fail': row('authentication', 0.5, 'No signature of the message is valid (DKIM)'),
  'auth.dmarc_fail': row(
    'authentication',
    1.5,
    'Neither SPF nor DKIM speaks for the From domain, which asks for nothing (DMARC p=none)',
  ),
  'auth.dmarc_quarantine': row('authentication', 4, 'DMARC failed and the From domain asks for quarantine', 'spoof'),
  'auth.dmarc_reject': row('authentication', 6, 'DMARC failed and the From domain asks for rejection', 'spoof'),
  'auth.several_from': row('authentication', 4, 'From names several domains, so that nobody can vouch for it', 'spoof'),
  'auth.own_domain_spoof': row(
    'authentication',
    6,
    'Claims to come from a domain of the recipient without proof',
    'spoof',
  ),
  'auth.own_envelope': row(
    'authentication',
    2,
    "The envelope sender is of the recipient's domain and SPF does not allow it",
  ),
  'auth.display_name_own': row(
    'authentication',
    4,
    "The display name is an address of the recipient's own domain",
    'spoof',
  ),
  'auth.display_name_list': row(
    'authentication',
    1,
    "A mailing list shows an address of the recipient's own domain as display name",
  ),
  'auth.display_name_owner': row(
    'authentication',
    2.5,
    "The display name is that of one of the client's users, the address is not",
  ),
  'auth.lookalike_own': row('authentication', 5, "The From domain looks like one of the recipient's domains", 'spoof'),
  'auth.near_own': row('authentication', 2.5, "The From domain is one letter away from one of the recipient's domains"),

  'list.block': row('lists', 0, 'The sender is on a block list', 'spam'),
  'list.allow': row('lists', 0, 'The sender is on an allow list and is authenticated'),
  'list.allow_unauthenticated': row(
    'lists',
    0,
    'The sender is on an allow list, but nothing proves that it is the sender: ignored',
  ),
  'list.allow_overruled': row('lists', 0, 'An allow list does not lift this verdict'),
  'list.overruled': row('lists', 0, 'A list entry applies, but a narrower or more precise one decided'),

  'attachment.executable': row('attachments', 0, 'Holds a program', 'policy'),
  'attachment.macro': row('attachments', 0, 'Holds a document with macros', 'policy'),
  'attachment.encrypted_archive': row(
    'attachments',
    0,
    'Holds an archive that cannot be opened without a password',
    'policy',
  ),
  'attachment.suspicious_archive': row('attachments', 0, 'Holds an archive made to mislead scanners', 'policy'),
  'attachment.html_smuggling': row('attachments', 3, 'Holds a web page that builds a file by itself', 'policy'),
  'attachment.pdf_javascript': row('attachments', 1, 'Holds a PDF with a script'),
  'attachment.pdf_embedded_file': row('attachments', 0.2, 'Holds a PDF with files in it'),
  'attachment.pdf_launch': row('attachments', 3, 'Holds a PDF that starts a program'),
  'malware.eicar': row('attachments', 0, 'Holds the EICAR test file', 'malware'),
  'malware.disguised_executable': row('attachments', 0, 'Holds a program that pretends to be a document', 'malware'),

  'rules.no_from': formal('rules', 2.6, 'From is missing or names no address'),
  'rules.no_date': formal('rules', 0.5, 'Date is missing or unreadable'),
  'rules.no_message_id': formal('rules', 0.7, 'Message-ID is missing or malformed'),
  'rules.date_future': formal('rules', 2.2, 'Date lies more than a day ahead'),
  'rules.date_past': formal('rules', 1.3, 'Date lies weeks back'),
  'rules.duplicate_header': formal('rules', 2, 'A header that may stand once stands twice'),
  'rules.mime_trick': row('rules', 2.5, 'The structure of the message is made to mislead scanners'),
  'rules.forged_mailer': row('rules', 1.4, 'Names a mail program that writes other headers than these'),
  'rules.forged_received': row('rules', 1.5, 'The trace of servers holds an impossible step'),
  'rules.bulk_mailer': row('rules', 1.1, 'Written by a program that is made for mass mail'),
  'rules.helo_is_address': formal(
    'rules',
    1,
    'The sending server names itself by a bare address or a name without a domain',
  ),
  'rules.dynamic_host': formal('rules', 1.2, 'Sent from a line that an access provider gives to its customers'),
  'rules.host_is_sender': row('rules', -0.6, 'Sent by a server of the sender domain, by its confirmed name'),
  'rules.message_id_foreign': formal('rules', 1, 'Message-ID is of another domain than sender and server'),
  'rules.message_id_odd': formal('rules', 0.5, 'Message-ID was not made by an honest program'),
  'rules.from_envelope_differ': formal('rules', 0.3, 'Envelope sender and From are of different organisations'),
  'rules.no_name': formal('rules', 1.1, 'From shows no name'),
  'rules.priority': formal('rules', 2.3, 'Marked as urgent'),
  'rules.to_many': formal('rules', 1.2, 'Names many recipients'),
  'rules.needless_base64': formal('rules', 0.3, 'Plain text in base64 without need'),
  'rules.reply_elsewhere': row('rules', 1.3, 'Answers go to a free mail account of another name'),
  'rules.reply_freemail_swap': row('rules', 3.2, "A company's From with answers to a free mail account"),
  'rules.name_is_other_address': row('rules', 2.3, "The display name shows another address than the sender's"),
  'rules.name_brand': phishy('rules', 3, 'The display name is a well-known company, the address is not'),
  'rules.random_sender': formal('rules', 0.3, 'The sender address looks made by a machine'),
  'rules.to_undisclosed': formal('rules', 1.5, 'Names no recipient'),
  'rules.subject_upper': formal('rules', 1.4, 'The subject is in capitals'),
  'rules.subject_bait': row('rules', 1.1, 'The subject presses, threatens or promises'),
  'rules.subject_fake_reply': row('rules', 0.5, 'Claims to be an answer but refers to no message'),
  'rules.subject_id': formal('rules', 1, 'The subject ends in a meaningless string'),
  'rules.obfuscated': row('rules', 2.9, 'Words are written in mixed alphabets or with invisible characters'),
  'rules.gappy': row('rules', 1.6, 'Words are s p a c e d out against filters'),
  'rules.hidden_text': row('rules', 1.5, 'The HTML hides text from the reader'),
  'rules.html_only': formal('rules', 0.8, 'HTML without a text part'),
  'rules.html_short': formal('rules', 0.5, 'HTML with hardly any text around its links'),
  'rules.text_differs': row('rules', 0.8, 'The text part says something else than the HTML part'),
  'rules.html_broken_words': row('rules', 1.5, 'Words are cut apart by empty HTML tags'),
  'rules.form': row('rules', 0.2, 'The message holds a form'),
  'rules.form_password': phishy('rules', 3, 'The message itself asks for a password in a form'),
  'rules.single_image': row('rules', 1.8, 'The message is one linked picture'),
  'rules.html_attachment': phishy('rules', 2.9, 'A web page is attached'),
  'rules.script': row('rules', 0.7, 'The HTML holds a script'),
  'rules.upper_body': formal('rules', 3, 'Much of the text is in capitals'),
  'rules.link_mismatch': phishy('rules', 2.8, 'A link shows another address than it leads to'),
  'rules.link_mismatch_soft': row('rules', 0.2, 'A link shows another host than it leads to, as counting services do'),
  'rules.link_ip': row('rules', 2.1, 'A link leads to a bare address'),
  'rules.link_obfuscated': row('rules', 2.2, 'A link is written so that its host is hard to see'),
  'rules.link_lookalike': phishy('rules', 4, 'A link leads to a host that looks like a well-known one'),
  'rules.link_brand_elsewhere': phishy('rules', 2.5, "A link carries a company's name on a foreign host"),
  'rules.link_punycode': row('rules', 1.5, 'A link leads to a host in mixed alphabets'),
  'rules.link_shortener': row('rules', 1, 'A link is hidden behind a shortening service'),
  'rules.link_free_host': row('rules', 1, 'A link leads to a page on a free hosting service'),
  'rules.link_odd_tld': row('rules', 1.6, 'A link leads to a top-level domain that is mostly abused'),
  'rules.link_recipient': row('rules', 0.1, "A link carries the recipient's address"),
  'rules.link_recipient_fragment': phishy(
    'rules',
    2.5,
    "A link hands the recipient's address to a page in its fragment",
  ),
  'rules.links_own': row('rules', -0.1, "Most links lead to the sender's own domain"),
  'rules.links_foreign': formal('rules', 0.6, "No link leads to the sender's own domain"),
  'rules.link_scheme': phishy('rules', 2.7, 'A link carries a program or a file instead of an address'),
  'rules.odd_tld_sender': row('rules', 1.6, "The sender's top-level domain is mostly abused"),
  'rules.sender_throwaway': row('rules', 2.1, 'The sender domain looks as if it was registered for one campaign'),
  'rules.link_throwaway': row(
    'rules',
    0.6,
    'A link leads to a domain that looks as if it was registered for one campaign',
  ),
  'rules.link_random_host': row('rules', 1, 'A link leads to a host of random letters'),
  'rules.link_redirect': row('rules', 1.2, 'A link runs through a service that leads on to any address'),
  'rules.name_office': phishy('rules', 2, 'The display name is an office of the recipient, the sender is not'),
  'rules.name_recipient_domain': phishy('rules', 2.5, "The display name is the recipient's domain, the sender is not"),
  'rules.subject_recipient': row('rules', 1, "The subject holds the recipient's address"),
  'rules.greets_address': row('rules', 0.6, 'Greets the reader by the address instead of a name'),
  'rules.date_zone': formal('rules', 1.2, 'Date names a time zone that does not exist'),
  'rules.name_domain': phishy('rules', 1.4, "The display name shows another domain than the sender's"),
  'rules.name_role_free': row('rules', 1.4, 'The display name is an office or a role, the address a free mail account'),
  'rules.free_numbered': row('rules', 0.9, 'A free mail account with a long number in its name'),
  'rules.gtube': row('rules', 6, 'Holds GTUBE, the text by which filters for spam are tested', 'spam'),
  'rules.short_ask': row('rules', 2.9, 'A line or two that ask a stranger for a favour, data or a changed account'),
  'rules.free_invoice': row('rules', 1.5, 'A free mail account sends a bill with hardly a word'),
  'rules.attached_lure': phishy('rules', 2, 'An attached web page is said to be a message, a bill or a document'),
  'rules.cheap_tld': row('rules', 1.1, 'The sender or a link has a top-level domain that costs next to nothing'),
  'rules.link_token': row('rules', 0.6, 'A link is a bare host with one long code'),
  'rules.list_unsubscribe_foreign': formal(
    'rules',
    0.2,
    'List-Unsubscribe leads to a party that has no other part in the message',
  ),
  'rules.entity_letters': row('rules', 0.9, 'Plain letters are written as numeric references'),
  'rules.hidden_splitters': row('rules', 2.2, 'Words are cut apart by text that nobody sees'),
  'rules.comment_filler': row('rules', 1.3, 'The HTML holds more comment than text'),
  'rules.image_only': row('rules', 1.4, 'The message is a picture without text'),
  'rules.lure_brand': phishy('rules', 1.8, 'A lure in the name of a company that neither sends it nor is linked'),
  'rules.free_pitch': row('rules', 2.2, 'A business offer or a plea for money from a free mail account'),
  'rules.scam_qr': phishy('rules', 2.6, 'A picture code is to be scanned to keep an access'),
  'rules.scam_credentials': phishy('rules', 2.4, 'Asks to confirm an account or a password under pressure'),
  'rules.scam_credentials_link': phishy('rules', 2, "Account pressure with a link away from the sender's domain"),
  'rules.lure_cheap_host': phishy('rules', 2.4, 'A lure whose link leads to a host that costs nothing to set up'),
  'rules.scam_advance_fee': row('rules', 2.7, 'Offers a share of a fortune'),
  'rules.scam_extortion': row('rules', 4.5, 'Threatens to publish and asks for a crypto currency'),
  'rules.scam_parcel': phishy('rules', 1.4, 'A parcel is held for a fee'),
  'rules.scam_prize': row('rules', 0.8, 'A prize or a gift waits'),
  'rules.scam_invoice_change': phishy('rules', 2.9, 'Bank details have changed'),
  'rules.scam_executive': phishy('rules', 3.4, 'Someone in charge asks for a quick favour or gift cards'),
  'rules.scam_crypto': row('rules', 1.4, 'Promises gains with crypto currencies or trading'),
  'rules.scam_renewal': phishy('rules', 1.7, 'A subscription nobody took is renewed, call this number'),
  'rules.scam_voicemail': phishy('rules', 0.7, 'A voice message, fax or shared document waits behind a link'),
  'rules.scam_refund': phishy('rules', 2, 'A refund or a fine waits behind a link'),
  'rules.scam_job': row('rules', 3.6, 'Offers a job that needs no skill and pays by the day'),
  'rules.spam_pharmacy': row('rules', 2.3, 'Sells medicines or remedies'),
  'rules.spam_adult': row('rules', 2.1, 'Offers acquaintances or pornography'),
  'rules.spam_money': row('rules', 0.7, 'Promises loans, income or the end of debts'),
  'rules.spam_seo': row('rules', 4.5, 'Offers search ranking, web design or lists of addresses'),
  'rules.spam_factory': row('rules', 3, 'A factory nobody asked offers its goods'),
  'rules.spam_domain': row('rules', 3.5, 'A made-up office asks money for a domain, trademark or directory'),
  'rules.spam_gambling': row('rules', 2.1, 'Offers gambling'),
  'rules.spam_goods': row('rules', 1.2, 'Sells replicas, software or wonder goods'),
  'rules.spam_pressure': row('rules', 1.1, 'Several phrases of pressing advertising'),
  'rules.spam_footer': row('rules', 0.9, 'Claims to be lawful or wanted, as wanted mail never does'),
  'rules.bulk': row('rules', 0, 'Mass mail that names its list or how to leave it', 'bulk'),
  'rules.bulk_unsubscribe_footer': row('rules', 0.1, 'Tells how to leave a list in its text only'),
  'rules.one_click_unsubscribe': row('rules', -0.3, 'Can be left with one click (RFC 8058)'),
  'rules.discussion': row('rules', -1.5, 'Part of a conversation: refers to an earlier message and quotes it'),
  'rules.calendar': row('rules', -0.4, 'A calendar invitation'),
  'rules.delivery_report': row('rules', -0.8, 'A delivery report or an automatic answer'),

  'content.spam': row(
    'content',
    4.5,
    'The words and the shape of the message are those of spam (at most; never enough alone)',
  ),
  'content.ham': row('content', -3, 'The words and the shape of the message are those of wanted mail (at most)'),

  'scanner.down': row('scanners', 0, 'An outside scanner did not answer in time and was left out'),
  'scanner.too_large': row('scanners', 0, 'The message is larger than an outside scanner takes and was not scanned'),
  'scanner.skipped': row('scanners', 0, 'An outside scanner was told not to scan such mail'),
  'scanner.rspamd': row('scanners', 3, 'rspamd speaks against the message (at most)'),
  'scanner.rspamd_ham': row('scanners', -1, 'rspamd speaks for the message (at most)'),
  'malware.clamav': row('scanners', 0, 'ClamAV found malware', 'malware'),

  'content.client_spam': row('learning', 1.5, "The client's people have reported such mail as spam (at most)"),
  'content.client_ham': row('learning', -1.5, "The client's people have let out such mail as wanted (at most)"),

  'history.first_contact': formal('history', 0.4, 'Nobody of the client has had to do with the sender before'),
  'history.known_good': row(
    'history',
    -1,
    'The client has written to the sender, or had clean mail from it, and it is authenticated',
  ),
  'history.reply': row('history', -0.8, 'Answers a message that the client sent lately'),

  'links.listed': row('links', 5, "A link leads to a host on the operator's list"),
} as const satisfies Readonly<Record<string, SymbolRow>>;

export type SymbolCode = keyof typeof SYMBOLS;

function row(stage: StageName, weight: number, words: string, verdict?: Verdict): SymbolRow {
  return verdict === undefined ? { stage, weight, words } : { stage, weight, words, verdict };
}

function phishy(stage: StageName, weight: number, words: string): SymbolRow {
  return { stage, weight, words, phishy: true };
}

function formal(stage: StageName, weight: number, words: string): SymbolRow {
  return { stage, weight, words, form: true };
}
