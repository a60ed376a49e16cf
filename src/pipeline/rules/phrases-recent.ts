import type { PhraseRule } from './phrases-world.ts';

/**
 * Frauds and advertising of the 2020s that the other two lists do not name: short requests, refunds, jobs, reviews, tolls. Linear
 * patterns over folded text, as there.
 */
export const RECENT_RULES: readonly PhraseRule[] = [
  {
    code: 'rules.scam_refund',
    least: 2,
    heart: 1,
    patterns: [
      /\b(?:tax (?:refund|rebate|return)|refund of|fiscal activity|carte vitale|council tax|steuer(?:erstattung|rückzahlung)|rückerstattung|(?:ihnen steht|eine) (?:\S+ ){0,2}erstattung|remboursement (?:de|d'un montant|en attente)|impôts? (?:\S+ ){0,3}rembours\w*|rimborso (?:fiscale|di|in attesa)|(?:devolución|reembolso) (?:de|fiscal|pendiente)|restituição|belasting(?:teruggave|dienst)|teruggave|zwrot podatku|nadpłat\w*|vergi iadesi|(?:unpaid|outstanding) (?:toll|parking|fine)|toll (?:balance|charge|notice)|multa pendiente|amende (?:impayée|forfaitaire))\b/,
      /\b(?:(?:submit|complete|fill (?:in|out)) (?:the|your|this) (?:\S+ )?(?:request|form)|claim (?:your |the |my )?(?:tax )?(?:refund|rebate)|eligible (?:to receive|for)|(?:füllen sie|ausfüllen)|bankdaten (?:fehlen|bestätigen|angeben)|angaben fehlen|remplir le formulaire|remplissez|pour (?:recevoir|percevoir)|compil\w+ il modulo|(?:rellen\w+|complet\w+|preench\w+) (?:el |o )?formul\w+|vul (?:het|uw)|wypełnij|avoid (?:a |any )?(?:late|additional|extra) (?:fee|charge|penalt)\w*|settle (?:your|the)|[£€$] ?\d{2,4}[.,]\d{2}|\d{2,4}[.,]\d{2} ?(?:gbp|eur|euro|€|£|chf|pln|zł|usd))\b/,
      /\b(?:dear (?:taxpayer|customer|citizen|driver|resident)|(?:last|annual) (?:annual )?calculation|steuerzahler\S*|finanzamt|elster|ameli|assurance maladie|dgfip|agenzia (?:delle|entrate)|agencia tributaria|hmrc|gov\.uk|irs|e-?zpass|sunpass|fastrak|within \d+ (?:hours|days)|bis zum|avant le|entro il|antes del|before \w+ \d+|frais d'envoi)/,
    ],
  },
  {
    code: 'rules.scam_job',
    least: 2,
    heart: 1,
    patterns: [
      /\b(?:part[- ]time|remote (?:job|work|position|hire)|(?:job|work) (?:offer|opportunity|from home)|work from (?:home|anywhere)|home ?office|neben(?:job|verdienst)|heimarbeit|teilzeit|minijob|mitarbeiter im|emploi à domicile|télétravail|trabajo (?:desde casa|remoto)|teletrabajo|lavor\w+ da casa|trabalho (?:remoto|em casa)|thuiswerk\w*|praca (?:zdalna|w domu)|online promoters?|mystery shopper|data entry|personal assistant (?:position|job))\b/,
      /\b(?:(?:per|a|each|every) (?:day|hour)|daily|hourly|usdt|(?:on|via|our|by|manager on) (?:whatsapp|telegram)|whatsapp|telegram|no (?:experience|skills)|keine (?:erfahrung|vorkenntnisse)|commissions?|provision|(?:leiten|weiterleiten|weiterzuleiten)|überweisungen auf ihr|(?:receive|process|forward) (?:the )?(?:payments|transfers|funds|packages)|paid (?:daily|weekly)|sin experiencia|sans expérience|senza esperienza|sem experiência|\$ ?\d{2,4} ?(?:-|to|–) ?\$? ?\d{2,4})\b/,
      /\b(?:dear (?:candidate|applicant|friend)|hi dear|hiring|recruit\w*|salary|wage|earn\w*|verdien\w*|eur im monat|gehalt|sueldo|salaire|stipendio|wynagrodzenie|flexible (?:hours|time)|apply now|resume)\b/,
    ],
  },
  {
    code: 'rules.spam_seo',
    least: 2,
    heart: 1,
    patterns: [
      /\b(?:(?:five|5)[- ]star|google reviews?|trustpilot reviews?|positive reviews|instagram followers|(?:buy|real|active) followers|(?:million|millions|\d{4,}) (?:d'|of )?(?:adresses|e-?mails?|emails d'entreprises|business contacts|firmenadressen|contactos|contatti)|base de données de|adressen von firmen|firmenadressen|(?:attendees?|visitors?|exhibitors?|users?|customers?) (?:contact )?(?:list|database|data)|(?:not|isn't|aren't) ranking|guest post|do-?follow|mobile app|(?:website|web site|web) (?:re)?design|redesign)\b/,
      /\b(?:interested|interest so|pay after|per month|from \$\d+|starting (?:from|at)|just reply|reply with|good time to talk|share (?:counts|the|our)|counts|au prix de|au lieu de|nur \d+ ?(?:€|eur)|we (?:can|could) (?:add|place|put|build|provide)|may i send|shall i send|how much do you charge|would you (?:be interested|like)|price list|portfolio|quote)\b/,
    ],
  },
  {
    code: 'rules.scam_advance_fee',
    least: 2,
    heart: 1,
    patterns: [
      /\b(?:(?:group of )?(?:private )?investors?|investment (?:fund|group|firm|company)|funding (?:proposal|of projects)|(?:fund|finance|invest in) (?:viable|lucrative|profitable|your) (?:projects?|business)|sovereign|family office|fonds d'investissement|inversionistas?)\b/,
      /\b(?:\d(?:\.\d)? ?% (?:roi|interest|per annum|annually|p\.a)|per annum|grace period|business plan|executive summary|intermediar(?:y|ies)|viable projects?|worldwide|jv partner|non-?recourse|brokers? (?:are|will|is))\b/,
      /\b(?:good day|dear (?:sir|friend|partner)|send (?:us |me )?your|reply|kindly|mandate|compensated|contact (?:me|us))\b/,
    ],
  },
  {
    // Of long texts all three are wanted, as newsletters say one of them in passing.
    code: 'rules.scam_credentials',
    least: 2,
    heart: 1,
    patterns: [
      /(?:\b(?:recovery (?:seed|phrase)|verify your (?:recovery|wallet|identity)|wallet (?:has not|is not|was not)|connect (?:your )?wallet|(?:use|keep) (?:the )?same password|clear (?:the )?cache (?:now|to)|allow messages|messages? could not be delivered to your inbox|(?:port|smtp|imap|sync\w*) error|community standards|(?:will be|has been) unpublished|submit an appeal|(?:membership|subscription|protection|plan) (?:has |is )?(?:ended|expired)|(?:trouble|problem|issue)s? with your (?:current )?(?:billing|payment)|could(?:n't| not) (?:authorize|renew|process) (?:your|the)|payment (?:failed|was declined|problem)|update (?:your )?payment (?:details|method)|photos? (?:and videos? )?will be (?:deleted|removed|lost))\b|(?:dispositif|sécuripass|certicode|clé digitale) (?:\S+ ){0,4}(?:actif|activé|expir\S+|réactiver)|(?:pushtan|s-pushtan|phototan|securego|appTAN)\S* (?:\S+ ){0,4}(?:registrierung|erforderlich|aktualis\S+|erneuer\S+|abgelaufen)|betaalpas (?:\S+ ){0,3}(?:verloopt|vervang|aanvragen)|lastschrift konnte nicht|zahlungsdaten|datos de pago|dati di pagamento|données de paiement|(?:konta?|dostęp) (?:\S+ ){0,4}(?:zablokowan|ograniczon)\S*|お支払い方法|異常な(?:操作|アクセス))/,
      /(?:\b(?:within \d+ ?(?:hours?|hrs?|h)|(?:expires?|ends?|deleted|removed) today|(?:deleted|removed|disabled|infected)|otherwise|suspend\w*|permanently|immediately|failure to|avoid|stay connected|unverified|for free|we’ll try again|we'll try again|pending|umgehend|innerhalb|bis zum|sonst|sperr\S+|eingeschränkt|avant le|faute de quoi|sous peine|voor \d+|te voorkomen|entro|para evitar|per evitare|aby (?:go )?odblokować|potwierdź)\b|時間以内|制限)/,
      /\b(?:click|button|link|update|verify|confirm|log ?in|sign ?in|submit|restore|renew|unlock|review|below|klicken|bestätigen|aktualisier\w*|anmelden|prüfen|cliquez|mettre à jour|vérifier|activer|haga clic|verifi\w*|actualiz\w*|accedi|aggiorn\w*|klik|controleer|zaloguj)\b/,
    ],
  },
];

/** A stranger's first words before asking for money or data, where the whole message is a line or two. */
export const SHORT_ASK =
  /\b(?:are you (?:at your desk|available|free|in the office|around|busy|there)|(?:have|got) (?:a|an) (?:\w+ )?(?:task|assignment|request|errand)|need (?:you to|your (?:help|assistance)|a favou?r|to get (?:some|a)|the list|them for a quick)|something done|take care of|(?:can|could|will) you (?:get|handle|help|do|purchase|buy)|drop (?:me )?your|(?:cell|mobile|whatsapp|phone) number|(?:gift|apple|steam|itunes|amazon) cards?|switched banks?|new account|direct deposit|this payday|payroll|aging report|w-?2|wage and tax|wire|just reply here|reply (?:here|me|only)|going into a meeting|in a meeting|can't (?:talk|do this)|right away|keep (?:it|this) (?:between|confidential)|bist du (?:da|gerade|verfügbar)|sind sie (?:im büro|erreichbar)|kurze bitte|gutscheinkarten|auf das folgende konto|unsere bank gewechselt|compte sur votre discrétion|virement|répondez (?:uniquement|moi)|pas joignable|estás (?:disponible|ocupad)|necesito que|transferencia urgente|sei (?:in ufficio|disponibile)|mi serve|bonifico urgente|ben je (?:beschikbaar|op kantoor))\b/;

/** What an attached page is said to be by those who want it opened. */
export const ATTACHED_LURE =
  /voice|\bvm|audio|fax|scan|swift|invoice|inv[_\d-]|payment|remit|statement|\bpo[_\d-]|rfq|order|document|secure|encrypted|receipt|quotation|play|rechnung|facture|factura|fattura|zahlung|contract|proposal|e-?sign|login|bank/;
