import type { SymbolCode } from '../symbols.ts';

export interface PhraseRule {
  readonly code: SymbolCode;
  /** How many of the patterns must be found. */
  readonly least: number;
  /** The first so many patterns are the heart of it: one of them must be among those found. Absent: all. */
  readonly heart?: number;
  readonly patterns: readonly RegExp[];
}

/**
 * The same frauds in the words of the 2020s and in languages other than English. As in phrases.ts every pattern is linear and
 * works on folded text. Scripts without spaces have no word boundaries, so their patterns have none.
 */
export const WORLD_RULES: readonly PhraseRule[] = [
  {
    code: 'rules.scam_credentials',
    least: 2,
    heart: 2,
    patterns: [
      /\b(?:(?:keep|continue (?:using|with)|retain|use) (?:my|your|the) (?:current |same |existing )?password|password (?:for \S+ )?(?:is |will |has |set to |expires? |expired? |to ){1,4}(?:expire\w*|today)|release (?:pending |the )?(?:pending |held )?messages|re-?validate (?:your|my) (?:account|mailbox|e-?mail)|(?:your|all) (?:\w+ )?mails? (?:accounts? )?(?:has|have|will|were|are|not) (?:been |be |upgraded )?(?:held|disabled|upgraded|deactivated)|(?:deactivat|de-activat|terminat|shut ?down|clos)\w* (?:of )?(?:your|my|this) (?:e-?mail|mailbox|account)|cancel (?:the )?(?:de-?activation|request|transaction|withdrawal)|(?:secret )?recovery phrase|12[- ]word|placed? (?:a )?hold on your|(?:account|membership|access|features?|shipment|licen[cs]e) (?:\w+ ){0,5}(?:suspended|locked|on hold|restricted|limited|blocked|disabled)|verify your (?:information|profile|wallet)|unable to verify|re-?authenticate|schedul\w* for (?:permanent )?deletion|update (?:your )?(?:payment|billing) (?:method|details|information)|(?:cannot|could not|couldn't) authori[sz]e your payment|confirm your identity)\b/,
      /(?:hesab\S{0,6} (?:\S+ ){0,3}(?:askıya|kısıtla|kapat|bloke)|bilgilerinizi doğrula|аккаунт\S* (?:\S+ ){0,3}(?:заблок|огранич|удал)|подтвердите (?:свои|ваши) данные|доступ (?:\S+ ){0,2}ограничен|アカウント.{0,40}(?:停止|異常|確認)|お支払い.{0,20}(?:更新|確認)|容量が上限|(?:账户|帐户|邮箱|账号).{0,20}(?:异常|停用|冻结|验证|升级)|立即.{0,10}验证|wykryliśmy (?:\S+ ){0,2}(?:logowani|aktywno)|dostęp (?:\S+ ){0,2}zablokowan|potwierdź (?:swoje|swój) dane|zweryfikuj (?:swoje|swój)|uw (?:\S+ ){0,4}(?:geblokkeerd|verloopt|opgeschort)|bevestig uw gegevens|(?:confirme|confirmando|valid\S+|verifi\S+) (?:\S+ ){0,2}(?:sus|seus|sua|su|seu) (?:\S+ ){0,1}(?:dados|datos|identidade|identidad|e-?mail)|(?:conta|cuenta|buzón|caixa de (?:correio|entrada)|tarjeta) (?:\S+ ){0,8}(?:desativad|desactivad|bloquead|suspendid|suspensa|excedeu|superado)|(?:boîte|compte|messagerie|paiements|virements) (?:\S+ ){0,8}(?:désactivé|bloqué|suspendu|dépassé son quota|atteint sa limite)|(?:réactive[rz]|mettre à jour|activez?) (?:\S+ ){0,2}(?:votre|vos|mon) (?:\S+ ){0,1}(?:compte|informations|service)|(?:postfach|e-?mail-konto|zugang|konto|karte|pushtan\S*) (?:\S+ ){0,9}(?:gesperrt|überschritten|deaktiviert|einzuschränken|erneuern|freizuschalten)|(?:operatività|accesso|conto|account) (?:\S+ ){0,4}(?:sospes|anomal|bloccat)|verifichi (?:subito )?la sua identità)/,
      /\b(?:(?:within|in|next|after) (?:the )?(?:next )?(?:\d{1,2}|three|two) ?(?:h|hrs?|hours?|days?)|innerhalb von \d+ stunden|bis zum|sous \d+ ?(?:h|heures)|en (?:un plazo de |las próximas )?\d+ horas|em \d+ horas|entro \d+ ore|binnen \d+ uur|w ciągu \d+ godzin|saat içinde|expires? (?:today|in)|permanently|otherwise|failure to act|immediately|umgehend|andernfalls|immédiatement|sinon|anders wordt|в течение)|\d+ ?(?:時間以内|小时内)|在24小时/,
      /\b(?:dear (?:webmail )?(?:customer|user|client|valued|beneficiary)|sehr geehrte[rn]? (?:kund|nutzer)|cher(?:\(e\)|e)? (?:client|utilisateur)|estimad\S+ (?:cliente|usuario)|gentile cliente|prezado|szanowny|sayın müşteri|уважаемый клиент|system administrator|server (?:notice|error)|cpanel|synchroni[sz]ation error|we detected something unusual|unusual (?:sign|log)[- ]?in|new device|unrecognized device|not (?:your )?match|community standards)|お客様|尊敬的用户/,
    ],
  },
  {
    code: 'rules.scam_extortion',
    least: 3,
    heart: 2,
    patterns: [
      /bitcoin|\bbtc\b|биткоин|ビットコイン|比特币|\bkryptow/,
      /\b(?:[13][a-z0-9]{25,34}|bc1[a-z0-9]{20,60})\b/,
      /(?:hack\S*|gehackt|piraté|взлом|троян|вирус|trojan\S*|spyware|logiciel espion|ハッカー|ハッキング|ウイルス|黑客|木马|zhakow\S*|gained access to your|full (?:access|control))/,
      /(?:web-?(?:cam|kamera|камер)\S*|kamer\S*|camera|камер|ウェブカメラ|摄像头|filmé|gefilmd|aufgenommen|nagra\S+|kaydett\S*|recorded|записал|録画|录制|montage)/,
      /(?:porn\S*|порно|adult|アダルト|成人|intime|sexual)/,
      /(?:contacts?|contatti|contatos|contactos|kontakte?n?|kontakt\S*|kişi\S*|контакт|連絡先|联系人|friends|police|policja|polizei)/,
      /(?:48|72|24|50) ?(?:hours|stunden|heures|horas|ore|uur|godzin|saat|часов|時間|小时)/,
    ],
  },
  {
    code: 'rules.scam_qr',
    least: 3,
    heart: 1,
    patterns: [
      /\b(?:qr[- ]?codes?|scan (?:the |this )?(?:qr|code|image|barcode)|code qr|código qr|codice qr|qr-kod\S*)\b/,
      /\b(?:authenticat\w*|2fa|mfa|multi-?factor|two-?factor|password|mailbox|credential\w*|e-?sign\w*|payroll|salary|bonus|benefits|zwei-?faktor|authentifizier\w*|authentification|doppio fattore)\b/,
      /\b(?:expir\w*|within|avoid|mandatory|required|interruption|camera|smartphone|mobile (?:phone|device)|your phone|lose access|deadline|läuft ab|abläuft|ablaufen|kamera|obligatoire|scadenza)\b/,
    ],
  },
  {
    code: 'rules.scam_parcel',
    least: 2,
    patterns: [
      /\b(?:usps|dhl|fedex|ups|evri|hermes|colissimo|chronopost|correos|postnl|inpost|poste italiane|bartolini|package|parcel|paket|sendung|colis|paquete|pacco|pakket|paczk\w*|encomenda|kargo\w*|shipment|delivery|spedizione)\b/,
      /\b(?:(?:redelivery|delivery|shipping|customs|handling) (?:fee|payment|duties|cost)s?|customs dut(?:y|ies)|incomplete address|schedule (?:my|your) delivery|unpaid toll|zollgebühr\w*|frais de réexpédition|gastos de aduana|spese di spedizione|invoerkosten|niedopłat\w*|opłać przesyłkę|adresse (?:indiquée )?(?:est )?incomplète|taxa de (?:entrega|alfândega)|gümrük)\b/,
    ],
  },
  {
    code: 'rules.scam_prize',
    least: 2,
    patterns: [
      /\b(?:congratulations|congrats|félicitations|enhorabuena|felicidades|congratulazioni|parabéns|herzlichen glückwunsch|gefeliciteerd|gratulacje|tebrikler|you have won|you(?:'ve| have) been (?:chosen|selected)|your name came up|hai vinto|vous avez gagné|ha ganado|você ganhou|reward (?:pending|expires?)|поздравляем)/,
      /\b(?:(?:short|quick|brief|breve|kurze|rápida|20 second|30[- ]second) (?:survey|umfrage|sondaggio|encuesta|questionnaire|pesquisa)|notre sondage|the (?:20|30|60) second|answer the|you only pay|just pay|pay(?:ez)? (?:only|just|seulement)|paga solo|loyalty program|claim (?:your|my|the)|(?:\d+|few|only \d+|quedan pocas) (?:left|units|unidades|premi|cadeaux)|\d+ glücklichen|restam apenas|il ne reste que|power station|tool set|gutschein|freidora|iphone 1\d|get started now)/,
    ],
  },
  {
    code: 'rules.scam_crypto',
    least: 2,
    heart: 2,
    patterns: [
      /\b(?:trading (?:platform|system|software|app)|ai (?:trading|platform)|quantum (?:system|ai)|cloud mining|(?:sistema|plataforma|piattaforma|plateforme) de? ?(?:inversión|trading|investimento)|software di trading|trading-software|handelssoftware|platform\S* inwestycyjn\S*|automatic(?:ally)? (?:trading|mining|collected))\b/,
      /(?:(?:€|£|\$|eur|zł) ?\d[\d.,]* ?(?:€|£|\$|zł)? ?(?:a|per|pro|am|al|par|op een|la|each|por|dziennie) ?(?:week|day|tag|woche|mois|jour|semana|settimana|dag|día|giorno)|\d[\d.,]* ?(?:€|zł) (?:am tag|in einer woche|par mois|a la semana|a settimana|per dag|dziennie|a week)|earns? (?:£|\$|€)\d|verdient in einer woche|(?:makes?|maakt|hace|rende|machen|werden) (?:\S+ ){0,3}(?:rich|rijk|ricos|ricchi|reich))/,
      /(?:only|just|nur|seulement|solo|solamente|slechts|bastano|wystarczy|mit|con|investissez) (?:\S+ ){0,3}(?:€|£|\$)? ?(?:250|1000)\b|places? (?:left|limited)|plätze|places limitées|plazas limitadas|posti limitati|plaatsen|liczba miejsc|passive income|passives einkommen|revenu passif|ingresos pasivos|passief inkomen|payout|withdrawal|elon musk|dragons' den|gewinn garantiert|gains garantis|gwarantowany zysk/,
    ],
  },
  {
    code: 'rules.scam_advance_fee',
    least: 2,
    heart: 2,
    patterns: [
      /\b(?:(?:donate|donation of|spende von|don de|faire don de|donar|donación de|donazione di) (?:\S+ ){0,4}\d[\d.,' ]*(?:million\w*|euro|usd|€|\$|000)|(?:overdue|unpaid) (?:inheritance|compensation|contract)|(?:inheritance|compensation) (?:payment|fund)|trunk box|powerball|died (?:and )?(?:left )?(?:no|without) (?:next of kin|will|heirs)|no dejó herederos|ohne erben|widow (?:suffering|diagnosed|with)|god[- ]fearing|less privileged|atm card)/,
      /\b(?:million\w*|millones|milliarden)\b.{0,200}\b(?:beneficiar\w*|next of kin|charit\w+|orphan\w*|donat\w+|percent|for your help|œuvres|herencia|heritage|trustworthy)|\b(?:beneficiar\w*|charit\w+|orphan\w*|donat\w+|trustworthy|herencia|héritage|vermögen\w*)\b.{0,200}\b(?:million\w*|millones|\d{3}[., ]\d{3})/,
      /\b(?:(?:reply|respond|contact me|write|kontaktieren sie mich|contactez-moi|responda|antworten)(?: to me| back| me)? (?:\S+ ){0,4}(?:as soon|for more|more details|private|back|urgen\w+|to claim|mail privé|weitere)|send your full name|keep it confidential|dear (?:beneficiary|friend|one|beloved)|greetings to you|hello dear|i (?:found|got) your contact|libre de riesgo|wohltätige|risk[- ]free)/,
    ],
  },
  {
    code: 'rules.scam_renewal',
    least: 3,
    heart: 2,
    patterns: [
      /\b(?:norton|mcafee|geek ?squad|best buy|paypal|coinbase|windows defender|quickbooks|lifelock|total protection|bitcoin|antivirus)\b/,
      /\b(?:auto[- ]?(?:renew|debit)\w*|has been renewed|renewed (?:successfully|for)|will be (?:debited|charged)|amount charged|you sent a payment|thank you for (?:your purchase|choosing)|purchase (?:of|receipt|confirmation)|we appreciate your business)\b/,
      /\+?1?[\s.(-]{0,3}\d{3}[\s.)-]{1,3}\d{3}[\s.-]{1,2}\d{4}\b/,
      /\b(?:not you\?|if you (?:wish|want|did)|(?:to |and )(?:cancel|refund|stop|claim a refund)|call (?:our|the|us|customer)|contact (?:us|our|customer)|toll[- ]?free|help ?desk|support team|customer care)/,
    ],
  },
  {
    code: 'rules.scam_executive',
    least: 2,
    heart: 2,
    patterns: [
      /\b(?:(?:handle|process|make|do|realices|faccia|traitiez|brauche) (?:\S+ ){0,6}(?:task|wire|transfer|überweisung|virement|transferencia|bonifico)|confidential acquisition|gift cards|geschenkkarten|google-play-karten|direct deposit|surprise (?:some|the))\b/,
      /\b(?:are you (?:at your desk|available|free)|bist du (?:gerade )?(?:verfügbar|da)|sind sie im büro|êtes[- ]vous disponible|estás disponible|sei in ufficio)\b/,
      /\b(?:conference call|in a meeting|cannot take calls|can't take calls|personal (?:cell|phone|number)|reply to (?:my|this) e-?mail|keep (?:this|it) between us|do not discuss|discreet\w*|nicht telefonieren|nur per e-?mail|pas téléphoner|numéro de portable|no puedo hablar|responde a este|non posso parlare|solo via mail|scratch the back|pictures of the codes|codes fotografieren|reimburse|erstatte|before the next pay|what details do you need|routing number)\b/,
    ],
  },
  {
    code: 'rules.scam_voicemail',
    least: 2,
    heart: 1,
    patterns: [
      /\b(?:new (?:vm|voice message)|voicemail|secured? (?:audio|document|file)|shared (?:a )?secured? (?:file|document)|page fax|efax|sent you (?:some files|a document to review)|completed the agreement|received a file via|payment advice|nouveau message vocal|vertrauliches dokument|salary (?:review|adjustment)|protected (?:file|document)|comprobante|boleto|nota fiscal)\b/,
      /\b(?:(?:sign|log)[- ]?in with (?:your|the) (?:\S+ ){0,2}(?:e-?mail|account|credentials|provider)|with your (?:office|work|business|company|email) (?:credentials|e-?mail|account)|office credentials|work e-?mail|business e-?mail|mit ihrem firmenkonto|messagerie professionnelle|link (?:expires|läuft|works)|preview is not available|open the attached html|download(?:e|er)? (?:the )?(?:file|document)|descargue|baixe o)\b/,
    ],
  },
  {
    code: 'rules.spam_pharmacy',
    least: 2,
    patterns: [
      /\b(?:belly fat|bauchfett|graisse du ventre|melt \d|torches|toenail|fungus|tinnitus|ringing in the ears|gummies|cbd|blue pill|rock hard|viagra|cialis|semaglutide|tirzepatide|ozempic|keto\S*|metabolism|joint pain|суставов|похуд\S*|perdez \d+ kg|abnehmen|potenz\S*|potencia|impotenc\S*)/,
      /\b(?:weird|ritual|trick|ancient|tribal|doctors? (?:can't|can not|hate|are|stunned)|big pharma|harvard|root cause|natural (?:formula|remedy)|remède naturel|natürlich\w*|sleepless|while you sleep|pendant que vous dormez|risk free bottle|free bottle|shark tank|höhle der löwen|ohne (?:sport|diät|rezept)|sans ordonnance|aucun régime|sin receta|no prescription|without (?:prescription|exercise|diet)|satisfait ou remboursé|in bed|beg for more|врачи|скидка|online pharmacy|worldwide|watch (?:the|before)|still online)/,
    ],
  },
  {
    code: 'rules.spam_adult',
    least: 2,
    patterns: [
      /\b(?:lonely|hookup|no[- ]strings|adults only|nur ab 18|heisse frauen|heiße frauen|einsame frauen|rencontre coquine|femmes célibataires|local women|beautiful women|single mums|serious relationship|kind man|handsome)\b/,
      /\b(?:private (?:photos?|fotos?)|privaten fotos|viewed your profile|saw (?:your|my) profile|vu ton profil|near (?:you|me)|in deiner (?:nähe|umgebung)|près de chez toi|join free|looking for a|send (?:you )?photos|my personal (?:mail|e-?mail)|diskrete treffen|sans lendemain)\b/,
    ],
  },
  {
    code: 'rules.spam_gambling',
    least: 2,
    patterns: [
      /(?:casino|казино|slots|roulette|spielautomat|deneme bonusu|freispiele|free spins|фриспин|bedava dönüş|giri gratis|jackpot|джекпот|sportsbook|bahis)/,
      /(?:bonus|бонус|\d{2,4} ?% (?:up to|match|на)|no deposit|ohne einzahlung|yatırım|instant withdrawal|no kyc|выплаты|anında çekim|willkommensbonus|expire at midnight)/,
    ],
  },
  {
    code: 'rules.spam_money',
    least: 2,
    patterns: [
      /\b(?:loans?|credit|kredit|prêt|préstamo|prestito|working capital|pre-?approved|underwriter|collateral|sans justificatif|schufa|remote job|part-time (?:remote )?job|heimarbeit|nebenverdienst|earn (?:up to )?\$\d+|(?:auto|car) insurance)\b/,
      /\b(?:bad credit|no collateral|no personal guarantee|within 24 hours|approval is guaranteed|interest rate of [1-4] ?%|at (?:an )?[1-4]% interest|taux de [1-4] ?%|réponse sous|negativer schufa|ohne (?:schufa|vorkosten|erfahrung)|noch heute|no experience|keine erfahrung|paid in usdt|whatsapp|per day|am tag|\$\d+ a month|no obligation|reply with your best|amount needed)\b/,
    ],
  },
  {
    code: 'rules.spam_seo',
    least: 2,
    heart: 2,
    patterns: [
      /\b(?:1st page|first page|search engines?|ranking|organic traffic|do-?follow|guest post|link insertion|sponsored (?:article|post)|backlinks?|meta tags|seo (?:packages?|services?|errors?)|web (?:design|development)|app development|decision makers|attendees list|visitors list|(?:qualified )?leads|qualified appointments|verified e-?mails?)\b/,
      /\b(?:list of|reaching out to companies using|based in india|\d+\+? developers|wordpress|shopify|magento|on your calendar)\b/,
      /\b(?:may i send|can i send|shall i (?:go ahead|send)|let me know your|how much do you charge|would you be (?:interested|open)|i (?:found|noticed|came across|was on)|share (?:the|our) (?:cost|portfolio|pricing)|send (?:you )?(?:counts|a quote|a screenshot)|counts and pricing|price list|affordable|reply "?stop|worth a look|just reply)\b/,
    ],
  },
  {
    code: 'rules.spam_factory',
    least: 3,
    patterns: [
      /\b(?:this is \S+ from (?:\S+ )?(?:shenzhen|ningbo|guangzhou|dongguan|shanghai|china)|our factory|professional manufacturer|manufacturer of|we (?:make|produce|are specialized in)|specialized in)\b/,
      /\b(?:good quality|best price|competitive price|low moq|free samples?|ce and rohs|years of (?:export )?experience|export experience|quick turn)\b/,
      /\b(?:catalogu?e|inquiry|gerber|quote you|feel free to contact|whatsapp|send you our|waiting for your reply|please send us)\b/,
    ],
  },
  {
    code: 'rules.spam_goods',
    least: 2,
    patterns: [
      /\b(?:gutters?|dash cam|heater|sunglasses|ray-?ban|oakley|outlet|homeowners|seniors|veterans|zip code|drivers|cloud storage|cloud-speicher|antivirus|mcafee|viruses?|photos (?:and|will)|ihre fotos)\b/,
      /\b(?:(?:up to |only )?[5-9]\d ?% (?:off|discount)|today only|while supplies last|almost out of stock|before stock runs out|free (?:worldwide )?shipping|not sold in stores|power companies|new (?:rule|law)|free estimate|offer expires today|will be deleted|gelöscht|has expired|at risk|get \d+ gb|\d+ gb (?:for free|free|kostenlos)|money[- ]back|hate it|furious)\b/,
    ],
  },
  {
    code: 'rules.spam_domain',
    least: 2,
    heart: 1,
    patterns: [
      /\b(?:domain (?:name )?(?:search engine )?(?:registration|listing|service)|internet keyword|\.cn domain|brand (?:as|registration)|search engine registration)\b/,
      /\b(?:final notice|expiration (?:notice|notification)|failure to complete|cancellation of this offer|act immediately|forward this to your ceo|person in charge|confirm whether|authorized them|dear ceo)\b/,
    ],
  },
];
