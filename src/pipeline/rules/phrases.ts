import { type Hit, hit } from '../votes.ts';
import { RECENT_RULES } from './phrases-recent.ts';
import { type PhraseRule, WORLD_RULES } from './phrases-world.ts';

/**
 * Frauds and advertising by their phrases, over folded text (rules/text.ts). One phrase proves nothing, so most rules want
 * several that belong together. Every pattern is linear: bounded gaps, no nested repetition.
 */
const RULES: readonly PhraseRule[] = [
  {
    code: 'rules.scam_extortion',
    least: 3,
    heart: 2,
    patterns: [
      /\b(?:bitcoin|btc|monero|litecoin|krypto\w*|crypto\w*|wallet|portefeuille|billetera|portafoglio)\b/,
      /\b(?:[13][a-km-zA-HJ-NP-Z1-9]{25,34}|bc1[a-z0-9]{20,60}|0x[0-9a-f]{40})\b/,
      /\b(?:webcam|your camera|kamera|cámara|caméra|fotocamera|kompromi\w+|masturbat\w+|masturb\w+|porn\w*|adult (?:site|content|video)s?|sexual\w*|intime[nrs]?|selbstbefriedig\w+|pleasuring yourself)\b/,
      /\b(?:trojan|malware|keylogger|spyware|hacked|hackeado|hacker|hackeur|piraté|gehackt|rdp|remote access|infected your|full access to your|vollen? zugriff|accès complet|acceso (?:total|completo)|compromised your|zero[- ]day|pegasus)\b/,
      /\b(?:(?:24|36|48|50|72|96) ?(?:hours|stunden|heures|horas|ore|uur|godzin)|two days|within \w+ days|zwei tage|deux jours|dos días)\b/,
      /\b(?:all your contacts|your contacts|contact list|friends and (?:family|relatives)|relatives|colleagues|kontakt(?:e|en|liste)|freunde|contacts|contactos|contatti|familie)\b/,
      /\b(?:i (?:recorded|have recorded|made a video|filmed|will (?:publish|send|release|share|delete|destroy))|veröffentliche\w*|vidéo|publier\w*|publicar\w*|pubblic\w+|aufgezeichnet|aufgenommen)\b/,
    ],
  },
  {
    code: 'rules.scam_advance_fee',
    least: 3,
    heart: 4,
    patterns: [
      /\b(?:next[- ]of[- ]kin|late (?:client|customer|husband|father|president|general|engineer)|deceased|inheritance|erbschaft|héritage|herencia|eredità|beneficiar\w+|bénéficiaire|begünstigte\w*|died in|plane crash|unclaimed)\b/,
      /\b(?:strictly? confidential|utmost (?:confidence|secrecy|good faith)|highest confidence|top secret|mutual (?:benefit|trust|interest)|confidential(?:ity)? (?:business|proposal|transaction)|100% risk[- ]free|risk free|vertraulich\w*|confidentiel\w*|confidencial\w*)\b/,
      /\b(?:foreign (?:partner|account|bank)|your bank account|transfer (?:of )?(?:the |this )?(?:fund|money|sum)|fund transfer|remit\w*|security company|diplomat(?:ic)? (?:agent|courier)?|consignment|trunk box|atm (?:visa )?card|(?:compensation|contract|inheritance) (?:fund|payment)|western union|moneygram|over[- ]?invoiced|dormant account|donation of|spende|donat\w+ (?:the sum|you))\b/,
      /\b(?:dear (?:friend|beloved|sir\/madam|beneficiary|winner|partner|lucky)|greetings in the name|my dear|good day|compliments of the season|calvary greetings|permit me|i am contacting you|i got your (?:contact|email)|private email|reply (?:to )?(?:me )?(?:on|via|through|at)? ?(?:my )?(?:private|this))\b/,
      /(?:us ?\$|usd|\$|€|£|eur|gbp) ?\d{1,3}(?:[.,' ]\d{3}){2,}|\d+(?:\.\d+)? ?(?:million|millionen|millions|milliones|millones|milioni) ?(?:us|united states|dollar\w*|euro\w*|pounds|gbp|usd|\b)/,
      /\b(?:nigeria|lagos|abuja|ghana|accra|benin|cotonou|ivory coast|cote d'ivoire|abidjan|togo|burkina faso|sierra leone|liberia|congo|south africa|johannesburg|angola|senegal|zimbabwe|iraq|afghanistan|syria|libya|yemen|dubai|hong kong)\b/,
      /\b(?:barrister|attorney|solicitor|bank manager|branch manager|auditor|credit officer|mr\.? president|prince(?:ss)?|widow|sgt\.?|united nations|imf|world bank|fbi|federal reserve|warren buffett|bill gates|lottery|powerball|mavis wanczyk)\b/,
      /\b(?:cancer|terminal(?:ly)? ill\w*|charity|orphan\w*|less privileged|god bless|the lord|widows)\b/,
      /\b(?:\d{1,2} ?%|percent|per cent) (?:of the|for you|to you|will be|as your|share|for your)/,
    ],
  },
  {
    code: 'rules.scam_credentials',
    least: 2,
    heart: 10,
    patterns: [
      /\b(?:account|mailbox|e-?mail(?: address)?|access|service|password|profile|card|wallet) (?:has been|have been|was|will be|is|is about to be|are|is being|ll be) (?:temporar\w+ |permanently |now |being |going to )?(?:suspend\w*|limit\w*|restrict\w*|lock\w*|block\w*|deactivat\w*|disabl\w*|terminat\w*|clos\w*|delet\w*|expir\w*|placed on hold|on hold|shut ?down|flagged)\b/,
      /\b(?:mailbox|storage|quota|inbox|e-?mail) (?:\w+ ){0,3}(?:is |has |almost )?(?:full|exceed\w*|limit|over ?quota|reached)|(?:undelivered|pending|held|blocked|quarantined|incoming) (?:e-?mails?|messages|mails)\b/,
      /\b(?:failure to (?:do so|comply|verify|update|confirm)|permanent(?:ly)? (?:suspen\w+|clos\w+|delet\w+|block\w+|los\w+)|avoid (?:service )?(?:interruption|suspension|termination|losing|being|deactivation|closure)|to continue using|keep (?:the )?same password|retain (?:the )?(?:same|current) password)\b/,
      /(?:bestätigen|verifizieren|aktualisieren|überprüfen) sie (?:bitte )?(?:umgehend |jetzt |hier )?(?:ihre?n? )(?:\p{L}+ ){0,3}(?:daten|konto|identität|angaben|passwort|telefonnummer|zahlungs\p{L}*|informationen)|ihre?r? (?:\p{L}+ ){0,2}(?:daten|angaben) (?:\p{L}+ ){0,2}(?:zu )?(?:bestätigen|aktualisieren|verifizieren)/u,
      /(?:konto|zugang|karte|account|postfach|bestsign|pushtan|verfahren) (?:\p{L}+ ){0,5}(?:gesperrt|eingeschränkt|deaktiviert|gelöscht|limitiert|läuft ab|abläuft|ausläuft|ungewöhnliche)/u,
      /(?:confirme[rz]|vérifie[rz]|mett(?:ez|re) à jour|actualise[rz]|régularise[rz]) (?:\p{L}+ ){0,2}(?:votre|vos) (?:\p{L}+ ){0,3}(?:compte|identité|informations|données|coordonnées|carte|dossier)|votre (?:\p{L}+ ){0,3}(?:compte|carte|accès|espace|boîte) (?:\p{L}+ ){0,4}(?:suspendu\p{L}*|bloqué\p{L}*|limité\p{L}*|désactivé\p{L}*|expir\p{L}*|restreint\p{L}*)/u,
      /(?:confirm[ae]r?|verifi(?:car|que|ca)|actuali[cz]\p{L}*|valid\p{L}+) (?:\p{L}+ ){0,2}(?:sus?|tus?|seus?|suas?) (?:\p{L}+ ){0,3}(?:cuenta|identidad|datos|información|tarjeta|conta|dados|cadastr\p{L}*)|su (?:\p{L}+ ){0,3}(?:cuenta|tarjeta|acceso) (?:\p{L}+ ){0,4}(?:suspendid\p{L}*|bloquead\p{L}*|limitad\p{L}*|desactivad\p{L}*)|sua conta (?:\p{L}+ ){0,4}(?:suspensa|bloqueada|limitada)/u,
      /(?:conferm\p{L}+|verific\p{L}+|aggiorn\p{L}+) (?:\p{L}+ ){0,2}(?:i |il |la |le )?(?:suoi|suo|sua|sue|tuoi|tuo|tua|vostri|dati)\b (?:\p{L}+ ?){0,3}|(?:conto|carta|account|utenza|accesso) (?:\p{L}+ ){0,4}(?:sospes\p{L}|bloccat\p{L}|limitat\p{L}|disattivat\p{L}|scadut\p{L})/u,
      /(?:bevestig|verifieer|controleer|werk) (?:\p{L}+ ){0,2}(?:uw|je) (?:\p{L}+ ){0,3}(?:account|gegevens|identiteit|rekening|betaalpas)|(?:rekening|account|bankpas|betaalpas) (?:\p{L}+ ){0,4}(?:geblokkeerd|opgeschort|beperkt|verloopt)/u,
      /(?:potwierdź|zweryfikuj|zaktualizuj) (?:\p{L}+ ){0,2}(?:konto|dane|tożsamość)|konto (?:\p{L}+ ){0,4}(?:zablokowane|zawieszone|ograniczone)|(?:アカウント|お支払い)[^。]{0,30}(?:停止|制限|更新|確認)|(?:ご本人|本人)確認|(?:账户|帐户|邮箱)[^。]{0,20}(?:异常|停用|冻结|升级)/u,
      /\b(?:(?:verify|confirm|validate|update|re-?activate|restore|unlock|secure|re-?confirm) (?:and \w+ )?(?:your|the|ur) (?:\w+ ){0,3}(?:account|identity|information|mailbox|e-?mail|password|details|data|billing|payment|records|ownership|wallet)|log ?in to (?:verify|confirm|restore|avoid))\b/,
      /\b(?:unusual|suspicious|unauthori[sz]ed|unrecogni[sz]ed|new) (?:sign[- ]?in|log[- ]?in|activity|activities|transaction|payment|access|device|attempt)\b/,
      /\b(?:within|in the next|in less than|before) (?:(?:\d{1,2}|twenty[- ]?four|forty[- ]?eight) ?(?:hours?|hrs?|stunden|heures|horas|ore|uur)|[1-3] (?:business )?(?:days?|tagen?|jours|días|giorni|dagen))\b/,
      /\b(?:click (?:here|below|the (?:link|button)) (?:to|and) (?:verify|confirm|update|restore|unlock|re-?activate|validate|upgrade|release|keep|login|log in|avoid)|(?:dear|hello|hi) (?:valued )?(?:customer|client|user|member|account (?:holder|owner|user)|webmail user|e-?mail user)|sehr geehrte[rs]? (?:kund\p{L}*|nutzer\p{L}*)\b|lieber kunde|cher(?:e)?(?:\(e\))? client(?:\(e\)|e)?|estimado(?:\/a|\(a\))? (?:cliente|usuario)|gentile client\p{L}|geachte (?:klant|heer\/mevrouw)|prezado cliente)/u,
    ],
  },
  {
    code: 'rules.scam_parcel',
    least: 2,
    patterns: [
      /\b(?:your (?:\w+ ){0,2}(?:package|parcel|shipment|delivery)|ihr(?:e)? (?:\p{L}+ )?(?:paket|sendung|lieferung)|votre (?:\p{L}+ )?(?:colis|livraison)|(?:su|tu) (?:paquete|envío)|(?:il tuo|il suo) pacco|(?:uw|je) (?:pakket|zending)|sua encomenda|paczka)\b/u,
      /(?:could not be delivered|delivery (?:attempt )?(?:failed|suspended|on hold)|(?:is|was|been) (?:on hold|held|stopped|suspended|returned)|missed (?:you|delivery|your)|incomplete address|incorrect address|konnte nicht (?:zugestellt|geliefert)|zurückgehalten|zugestellt werden|n'a pas pu être (?:livré|remis)|en attente|no (?:se )?(?:ha )?(?:podido|pudo) (?:ser )?entreg|in attesa|giacenza|niet (?:worden )?(?:bezorgd|geleverd)|awaiting (?:your )?(?:confirmation|delivery|payment))/u,
      /(?:shipping fee|delivery fee|customs (?:fee|duty|charges?)|redelivery|re-?schedule|small fee|unpaid|zollgebühr\w*|versandkosten (?:zu )?bezahlen|versandgebühr\w*|zustellgebühr|gebühr von|frais de (?:livraison|douane|port|réexpédition|dossier)|gastos de (?:envío|aduana)|tasas? de aduana|spese di (?:spedizione|dogana|consegna)|invoerkosten|verzendkosten betal|(?:pay|fee|bezahlen|payer|pagar|pagare) (?:\w+ ){0,4}(?:€|\$|£|eur|usd|gbp) ?\d{1,2}[.,]\d{2}\b|[€$£] ?[0-4][.,]\d{2}\b)/,
    ],
  },
  {
    code: 'rules.scam_prize',
    least: 2,
    patterns: [
      /\b(?:congratulations|congrats|herzlichen glückwunsch|glückwunsch|félicitations|felicidades|enhorabuena|congratulazioni|gefeliciteerd|parabéns|gratulacje)\b/,
      /\b(?:you(?:'ve| have|'re| are)? (?:been )?(?:\w+ )?(?:won|win|winner|selected|chosen|picked)|have been (?:\w+ )?(?:selected|chosen)|sie (?:haben|wurden) (?:\p{L}+ )?(?:gewonnen|ausgewählt)|vous avez (?:été )?(?:gagné|sélectionné|tiré)|ha(?:s)? (?:sido )?(?:ganado|seleccionado)|hai (?:vinto)|sei stato (?:selezionato|scelto)|u heeft gewonnen|u bent (?:geselecteerd|gekozen)|você (?:ganhou|foi))\b/u,
      /\b(?:claim (?:your|the|it)|prize|reward|gift ?card|giveaway|sweepstakes?|jackpot|lottery|lotto|gewinn(?:spiel)?|preis abholen|lot(?:erie)?|cadeau|premio|sorteo|lotería|lotteria|prijs|prêmio|nagroda|free gift|loyalty (?:program|reward)|exclusive reward|mystery box)\b/,
      /\b(?:(?:short|quick|brief|30[- ]second|marketing|customer|shopper) survey|answer (?:\w+ )?(?:questions|survey)|umfrage|sondage|encuesta|sondaggio|participat\w+|batch number|ref(?:erence)? number|ticket number|winning number|iphone 1\d|samsung galaxy|dewalt|yeti|ninja|le creuset|omaha steaks|power station|tool set|\$\d{2,4} (?:gift|amazon|walmart|costco|cash|voucher))\b/,
    ],
  },
  {
    code: 'rules.scam_invoice_change',
    least: 2,
    heart: 1,
    patterns: [
      /\b(?:(?:change|changed|update|updated|new|revised) (?:of |in |our |to our |the )?(?:bank(?:ing)?|account|payment|beneficiary|remittance) (?:account |details|information|instructions)|neue bankverbindung|geänderte bankverbindung|bankverbindung (?:hat sich )?geändert|nouve(?:lles|au) (?:coordonnées bancaires|rib)|changement de (?:rib|coordonnées)|nueva cuenta bancaria|nuevo(?:s datos)? banc\w+|nuov[eio] (?:coordinate|iban)|direct deposit|payroll (?:details|information|account)|old account|audit(?:ing|ed)? (?:our|of our) (?:bank|account))\b/,
      /\b(?:(?:outstanding|pending|overdue|unpaid|next|all|future|upcoming) (?:invoice|payment|balance)s?|before (?:you )?(?:make|process\w*|the next) (?:the |any )?pay\w*|effective (?:immediately|today)|hold (?:on )?(?:the )?payment|wire (?:transfer)?|swift|iban|next pay ?(?:roll|day|check)|offene rechnung|überweis\w+|virement|transferencia|bonifico)\b/,
      /\b(?:kindly|please (?:confirm|acknowledge|update|treat)|urgent\w*|asap|as soon as possible|let me know what (?:details|information)|what (?:information|details) (?:do|will) you need|dringend|bitte (?:umgehend|künftig)|merci de|favor de)\b/,
    ],
  },
  {
    code: 'rules.scam_executive',
    least: 2,
    patterns: [
      /\b(?:gift ?cards?|itunes|google play card|steam card|apple card|amazon card|vanilla card|geschenkkarten?|gutschein(?:karten)|cartes? cadeaux?|tarjetas? (?:de )?regalo|carte regalo)\b/,
      /\b(?:are you (?:available|free|at your desk|in the office|around|less busy|busy)|bist du (?:verfügbar|im büro|da)|sind sie (?:verfügbar|im büro|gerade)|êtes[- ]vous (?:disponible|au bureau)|estás (?:disponible|ocupado)|sei (?:disponibile|in ufficio)|quick (?:task|favou?r|request)|urgent (?:task|favou?r|request|assignment)|need (?:you to|your) (?:\w+ ){0,3}(?:favou?r|task|assist\w*|errand|handle)|do (?:me )?a favou?r|discreet\w*|kleinen gefallen|petit service|un favor)\b/,
      /\b(?:in a meeting|can'?t talk|cannot (?:talk|take calls)|no calls|(?:text|cell|mobile|phone|whatsapp) number|personal (?:cell|number|mobile)|send me your (?:cell|number|mobile|phone)|drop (?:me )?your|handynummer|in einer besprechung|en réunion|numéro de portable|en una reunión|in riunione)\b/,
      /\b(?:scratch|send (?:me )?(?:the )?(?:picture|photo|code|pics)|reimburse\w*|surprise (?:some|the|our) (?:staff|employees|clients)|wire transfer|acquisition|confidential (?:operation|transaction|file)|process (?:a|the) (?:payment|wire))\b/,
    ],
  },
  {
    code: 'rules.scam_crypto',
    least: 2,
    patterns: [
      /\b(?:bitcoin|btc|ethereum|crypto(?:currenc\w+)?|kryptowährung\w*|forex|binary option\w*|trading (?:bot|platform|robot|software)|usdt|airdrop|staking|nft|defi|token (?:sale|claim))\b/,
      /\b(?:guaranteed (?:profit|return|income)s?|passive income|(?:double|triple|10x|100x) your|financial freedom|get rich|(?:daily|weekly|hourly) (?:profit|return|roi|income)|high returns?|invest(?:ment)? (?:of|just|only|from|opportunity)|passives? einkommen|reich werden|gewinne? (?:von|bis zu)|millionär|revenus? passifs?|ingresos pasivos|deposit (?:of )?(?:only )?[$€£]250|elon musk|die höhle der löwen|shark tank|dragon'?s den)\b/,
      /\b(?:claim (?:your|now)|withdraw(?:al)?|your (?:balance|wallet|account) (?:of|has|is|holds)|deposit|seed phrase|recovery phrase|wallet (?:connect|validation|verification|upgrade)|connect your wallet|auszahlung|register (?:now|today)|sign up)\b/,
    ],
  },
  {
    code: 'rules.scam_renewal',
    least: 3,
    patterns: [
      /\b(?:norton|mcafee|geek ?squad|best buy|paypal|windows defender|microsoft defender|quickbooks|avast|lifelock|total protection|360 deluxe|antivirus|webroot)\b/,
      /\b(?:(?:auto[- ]?)?renew\w*|subscription|charged|auto[- ]?debit\w*|purchase(?:d)?|order confirmation|membership|invoice (?:no|number|id|#))\b/,
      /(?:\+?1?[\s.(-]{0,3}8(?:00|33|44|55|66|77|88)[\s.)-]{1,3}\d{3}[\s.-]{0,2}\d{4}|\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4})/,
      /\b(?:(?:to|for|wish to|want to) (?:cancel|refund|dispute|stop|discontinue)|did(?: not|n't) (?:authori[sz]e|make|place)|call (?:us|our|now|immediately|on|at|the)|toll[- ]?free|help ?(?:line|desk)|customer (?:care|support|service)|billing (?:department|team|support)|within 24 hours?)\b/,
    ],
  },
  {
    code: 'rules.scam_voicemail',
    least: 2,
    patterns: [
      /\b(?:(?:new |missed )?voice ?(?:mail|message|note)|voicemail|missed call|new fax|e-?fax|fax (?:message|received)|sprachnachricht|message vocal|buzón de voz|(?:shared|sent) (?:a |an |you )?(?:a |an )?(?:file|document|folder|invoice|proposal|secure)|document (?:has been |was )?shared|secure(?:d)? (?:document|message|file)|encrypted (?:message|document)|remittance advice|payment advice|wire confirmation|scanned? (?:document|copy|from)|signature required|please (?:review and )?sign|e-?sign\w*)\b/,
      /\b(?:(?:listen|play|view|open|access|review|download|preview|retrieve) (?:the |your |to |this |shared |full )?(?:\w+ )?(?:voice\w*|message|document|file|audio|pdf|fax|attachment|recording|proposal|invoice|here)|click (?:here|below|on the)|see attached|attached (?:html?|file))\b/,
      /\b(?:duration|caller(?: id)?|received (?:on|at|from):?|pages?:|reference(?: no)?:|this link (?:will expire|expires|works)|expires? (?:in|on)|automatically (?:deleted|generated)|office ?365|microsoft 365|onedrive|sharepoint|adobe (?:sign|acrobat|cloud)|docusign|dropbox|kept? (?:for|until))\b/,
    ],
  },
  {
    code: 'rules.spam_pharmacy',
    least: 2,
    patterns: [
      /\b(?:v[i1!|]agr[a@]|c[i1!|]al[i1!|]s|levitra|xanax|valium|vicodin|phentermin\w*|adipex|ambien|tramadol|soma|propecia|viagara|sildenafil|tadalafil|kamagra|ozempic|semaglutid\w*)\b/,
      /\b(?:(?:online|canadian|internet|discount) (?:pharmacy|drug ?store|meds)|no prescription|without (?:a )?prescription|prescription (?:drugs?|medication)|rezeptfrei|sans ordonnance|sin receta|senza ricetta|meds)\b/,
      /\b(?:erect\w*|erection|impoten\w*|libido|penis|enlarge\w*|sexual (?:performance|health|power)|longer in bed|last longer|male enhanc\w*|potenz\w*|potency|stamina|testosterone|prostate)\b/,
      /\b(?:weight[- ]?loss|lose (?:up to )?\d* ?(?:weight|pounds|lbs|kg|inches)|burn(?:s|ing)? fat|fat[- ]?burn\w*|diet pill|keto\w*|belly fat|abnehmen|perdre du poids|hgh|human growth|hoodia|cbd (?:oil|gumm\w+)|gummies|metabolism|appetite|cellulite)\b/,
      /\b(?:blood sugar|diabetes|tinnitus|neuropathy|joint pain|memory loss|toenail fungus|dementia|(?:doctors?|big pharma|they) (?:don'?t|do not|doesn'?t) want|weird trick|simple trick|(?:breakthrough|natural|miracle|ancient|secret) (?:cure|formula|remedy|ritual|recipe|discovery|tonic))\b/,
    ],
  },
  {
    code: 'rules.spam_adult',
    least: 2,
    patterns: [
      /\b(?:porn\w*|xxx|hardcore|nudes?|naked|horny|slut\w*|fuck\w*|pussy|milf|hottest girls|live (?:girls|sex)|erotic\w*|lolita\w*|barely legal|escort (?:girls?|service)s?|blowjob|cum ?shots?)\b/,
      /\b(?:sex(?:y|ual|uelle)?|web ?cams?|teen(?:s|age)? (?:girls|sluts|porn)|adults? (?:only|site|content|movies?|entertainment)|18\+|over 18|at least 18|must be 18)\b/,
      /\b(?:hook ?up|lonely (?:wives|housewives|women|girls)|cheating (?:wives|housewives)|find (?:a )?(?:sex|hot|local|your (?:love|soul))|(?:meet|date|dating) (?:\w+ )?(?:singles|women|girls|ladies|men)|singles in your|russian (?:women|brides|girls|ladies)|ukrainian (?:women|brides|girls)|asian (?:women|ladies|beauties)|casual (?:dating|encounter|sex)|girls? (?:near|in your)|wants? to (?:meet|chat|date)|my (?:private |nude |hot )?(?:photos?|pics?|profile)|private (?:photos?|profile|message)|saw your profile|seeking (?:a )?(?:man|serious))\b/,
    ],
  },
  {
    code: 'rules.spam_money',
    least: 2,
    patterns: [
      /\b(?:mortgage|refinanc\w*|(?:lowest|low) (?:interest )?rates?|interest rates?|home ?owner\w*|loan(?:s)? (?:offer|approved|up to|at)?|pre-?approved|cash advance|kredit ohne|sofortkredit|kredit(?:angebot)?|prêt (?:entre|rapide|personnel)|préstamos?|prestito|financement|funding (?:up to|approved)|business (?:loan|funding|capital)|working capital|credit (?:repair|score|report|history)|bad credit|3 ?% (?:interest|rate))\b/,
      /\b(?:debt(?:s)?|get out of debt|consolidat\w*|eliminate (?:your )?debt|collection agencies|schulden|dettes|deudas|schufa|tax (?:relief|debt)|irs|stimulus|unclaimed (?:money|funds|property))\b/,
      /\b(?:work (?:from|at) home|home[- ]based|be your own boss|extra (?:income|cash|money)|earn (?:up to |over |an extra |extra )?[$€£]? ?\d[\d.,k]*|make (?:up to |over |thousands|\$|€|£|money|[$€£]? ?\d)|income (?:opportunity|stream|from)|financial(?:ly)? (?:independ\w+|free\w*)|multi-?level|mlm|pyramid|downline|residual|nebenverdienst|geld verdienen|von zu hause|heimarbeit|gagne[rz] (?:de l'argent|jusqu)|gan(?:ar|e) dinero|guadagn\w+|per (?:day|week|month|hour)|pro (?:tag|woche|monat))\b/,
      /\b(?:no (?:obligation|risk|experience|selling|cost|fees?|upfront)|risk[- ]?free|guarantee\w*|100% (?:free|legal|guaranteed|satisfaction)|apply (?:now|today|online)|free (?:quote|consultation|report|info\w*|details)|act now|limited (?:time|offer|spots|number)|unverbindlich|kostenlos|sans engagement|sin compromiso|approval)\b/,
      /\b(?:life insurance|insurance (?:quotes?|rates?)|term life|auto (?:insurance|warranty)|extended warranty|penny stock|stock (?:alert|pick|tip|report)|hot stock|otc|otcbb|investors?|undervalued|target price|strong buy|symbol:|forward[- ]looking statements?|safe harbor|chain letter|report #?\d|send (?:\$|five dollars)|envelope)\b/,
    ],
  },
  {
    code: 'rules.spam_seo',
    least: 2,
    heart: 1,
    patterns: [
      /\b(?:(?:can|may|shall|could) i send (?:you )?(?:a |the |over |some )?(?:\w+ )?(?:quote|proposal|price|package|details|screenshot|audit|info\w*|report|portfolio)|send (?:you )?(?:a |the )?(?:free )?(?:proposal|quote|audit|price list)|(?:i|we) (?:just )?(?:came across|found|visited|was (?:looking|browsing|reviewing)|noticed|checked|were) (?:\w+ )?(?:your )?(?:web ?site|site|business|company|some errors)|price list|affordable (?:price|rate|cost|package)s?|free (?:audit|quote|consultation|analysis)|interested\?|let me know (?:if you(?:'re| are) interested|your interest)|reply (?:with )?(?:"?yes|me back))\b/,
      /\b(?:seo|search engine (?:optimi[sz]ation|ranking|submission)|(?:first|1st|top) page (?:of|on|in)? ?(?:google|bing|yahoo|search)?|google (?:ranking|first page|top)|rank(?:ing|s)? (?:higher|your|on|of your)|backlinks?|link building|guest post\w*|domain authority|da ?\d\d|organic (?:traffic|search|results)|website (?:traffic|audit|ranking|visitors)|search engines)\b/,
      /\b(?:(?:re)?design(?:ing)? (?:your |a |of )?(?:web ?site|new website)|web ?site (?:re)?design|web (?:design|development|developer)|mobile app (?:development|developer)|app development|wordpress|shopify|your web ?site|digital marketing|social media marketing|explainer video|logo design|white label|offshore|dedicated developers?)\b/,
      /\b(?:e-?mail (?:list|database|addresses|marketing|leads|appending)|(?:contact|mailing|attendees?|leads?|decision[- ]makers?|executive|users?) lists?|(?:million|thousand|\d{3,}) (?:e-?mail addresses|e-?mails|leads|contacts|records)|bulk e-?mail\w*|targeted (?:e-?mails?|traffic|leads|audience)|data ?base of|opt[- ]in (?:leads|list|e-?mails?)|qualified leads|lead generation|counts? and (?:cost|pricing)|acquire the)\b/,
    ],
  },
  {
    code: 'rules.spam_factory',
    least: 3,
    patterns: [
      /\b(?:we are (?:a |an |one of )?(?:\w+ ){0,4}(?:manufacturers?|suppliers?|factory|exporters?|trading company)|(?:manufacturer|factory|supplier) (?:in|from|based in) (?:china|shenzhen|guangdong|ningbo|shanghai|zhejiang|india|pakistan|vietnam))\b/,
      /\b(?:(?:competitive|best|good|factory|reasonable) (?:price|pricing|quality)s?|high quality|oem|odm|free samples?|sample order|moq|cif|fob|years? (?:of )?(?:experience|history))\b/,
      /\b(?:catalog(?:ue)?s?|quotation|price list|cooperat\w+|business relationship|your (?:inquiry|enquiry|requirements?)|if you (?:have any (?:need|interest|demand|inquir\w+)|are interested|need))\b/,
    ],
  },
  {
    code: 'rules.spam_domain',
    least: 2,
    heart: 2,
    patterns: [
      /\b(?:domain (?:name )?(?:registr(?:ation|ar)|listing|dispute)|internet (?:keyword|brand)|brand name and|domain\/keyword|search engine (?:registration|submission|listing)|your domain (?:\w+ ){0,4}(?:expires?|expiration|will expire|terminat\w+))\b/,
      /\b(?:trademark (?:register|registration|publication|office)|patent and trademark|company (?:register|directory|catalogue?)|business (?:register|directory))\b/,
      /\b(?:authori[sz]ed (?:them|this company)|distributor or business partner|forward (?:this )?to your ceo|applied to register|confirm urgently|failure to (?:complete|renew)|secure payment|pay(?:ment)? (?:the )?(?:fee|invoice)|final notice|sign and return)\b/,
    ],
  },
  {
    code: 'rules.spam_gambling',
    least: 2,
    patterns: [
      /\b(?:casino|roulette|slots?|blackjack|poker|jackpot|betting|sportsbook|spielautomat\w*|glücksspiel|paris sportifs|apuestas|scommesse|loterie|online lotto)\b/,
      /\b(?:free (?:spins|chips|bet|money|\$\d+)|(?:welcome|deposit|sign[- ]?up|match) bonus|no deposit|bonus (?:of|code|up to)|freispiele|tours gratuits|giros gratis|giri gratis|first deposit|free to play|\d{2,4}% bonus|play (?:now|for (?:free|real)))\b/,
    ],
  },
  {
    code: 'rules.spam_goods',
    least: 2,
    patterns: [
      /\b(?:replicas?|rolex|luxury watch\w*|designer (?:watches|bags|handbags)|louis vuitton|gucci|ray[- ]?bans?|omega|cartier|breitling|(?:university |college )?(?:diploma|degree)s?|non[- ]accredited|oem|software (?:at|for)|cheap (?:software|oem)|adobe|windows (?:xp|10|11)|cable (?:tv )?(?:descrambler|filter|box)|descrambler|dvd (?:copy|burner)|copy (?:any )?dvd|ink ?jet|toner|cartridges|cigarettes|satellite (?:tv|dish)|spy ?cam\w*|banned cd|printer ink)\b/,
      /\b(?:(?:up to |save |off |at )?[5-9]\d ?% (?:off|rabatt|discount|de réduction|descuento|sconto|korting|below retail)|retail price|our price|you save|wholesale|lowest price|best price|huge (?:savings|discount)|clearance|while supplies last|free shipping|order (?:now|today|yours)|buy (?:now|one|2|two)|act (?:now|fast|today)|today only|special (?:offer|price)|limited (?:time|stock|quantity)|satisfaction guaranteed|money[- ]?back|no (?:tests|classes|books|interviews))\b/,
      /\b(?:as seen on|shark tank|(?:breakthrough|revolutionary|amazing|incredible|patented) (?:\w+ )?(?:product|technology|device|gadget|invention|offer|secret)|this (?:\w+ )?(?:gadget|device|trick|tool)|(?:solar|generator|drone|flashlight|heater|air cooler|air conditioner|hearing aids?|gutter|windows? replacement|walk[- ]in tub|bathroom remodel|home warranty|medicare|dental implants?|hair (?:loss|growth|removal)|anti[- ]?aging|wrinkle\w*|skin ?care))\b/,
    ],
  },
  {
    code: 'rules.spam_pressure',
    least: 3,
    patterns: [
      /\b(?:act now|order now|buy now|call now|apply now|don'?t (?:wait|delay|miss)|hurry|limited time|offer expires|expires? (?:soon|today|tonight)|last chance|final (?:notice|warning|reminder)|once in a lifetime|today only)\b/,
      /\b(?:100% (?:free|guaranteed|satisfaction|natural|legal)|absolutely free|completely free|totally free|free (?:gift|sample|trial|info\w*|bonus|report|membership|offer)|no (?:cost|obligation|catch|strings|purchase necessary|risk|gimmick\w*|hidden)|risk[- ]?free|money[- ]?back)\b/,
      /\b(?:click (?:here|below|on the link|this link|now)|visit (?:our|the) (?:web ?site|site|link)|follow (?:the|this) link|call (?:us )?(?:toll[- ]free|now|today)|reply (?:to this e-?mail )?with)\b/,
      /!!+|\${2,}|\bfree\b[^.]{0,60}\bfree\b/,
      /\b(?:dear (?:friend|sir|madam|sir\/madam|webmaster|business owner|homeowner|reader|internet user|opportunity seeker|member|consumer)|as seen on|amazing|incredible|unbelievable|secret\w*|guarantee\w*|lowest prices?|cash bonus|winner)\b/,
    ],
  },
  {
    code: 'rules.spam_footer',
    least: 1,
    patterns: [
      /\b(?:this (?:e-?mail|message|mail(?:ing)?) (?:is not|is not considered|cannot be considered|can ?not be considered) (?:a )?spam|not spam|bill s\.? ?1618|s\.? ?1618|section 301|murkowski|anti[- ]spam (?:policy|law|legislation)|one[- ]?time (?:mailing|e-?mail(?:ing)?)|(?:to be|be) (?:removed|deleted|taken off)|remove (?:me|in (?:the )?subject|yourself|your (?:e-?mail|name|address))|with (?:the word )?"?remove"?|removal (?:instructions|link|from)|"remove"|(?:never|no longer wish to) receive (?:this|these|any|our|further|future)|opt[- ]?(?:out|ed[- ]in)|you (?:have )?opted (?:in |to receive|for)|stop receiving (?:these|our) (?:offers|promotions|ads)|permission[- ]based|sent in compliance|we apologi[sz]e (?:for|if)|if (?:this|you) (?:e-?mail )?(?:has )?(?:reached|received|got) (?:you|this) (?:in|by) error|extractor|(?:do not|don'?t) (?:want|wish) to (?:receive|get) (?:any )?(?:more|further|future|our|these)|update your preferences or unsubscribe here)\b/,
    ],
  },
];

const ALL: readonly PhraseRule[] = [...RULES, ...WORLD_RULES, ...RECENT_RULES];

const LONG = 4000;

const ADVERTISING: ReadonlySet<string> = new Set(['rules.spam_footer', 'rules.spam_pressure', 'rules.spam_goods']);

/** Phrases of pressure in a subject line. */
const BAIT =
  /\b(?:urgent\w*|act now|final (?:notice|warning|reminder)|last (?:warning|chance)|action required|attention!?|immediate (?:action|response|attention)|congratulations|you(?:'ve| have) won|winner|(?:account|mailbox) (?:\w+ ){0,2}(?:suspend\w+|lock\w+|limit\w+|expir\w+|alert|verification|termin\w+)|password (?:expir\w+|expiry|notification)|free|guarantee\w*|earn|make money|income|cash|viagra|cialis|weight|diet|mortgage|refinanc\w*|debt|loan|credit|lowest|save (?:up to|big|\d)|dringend|letzte (?:mahnung|warnung|erinnerung)|gewonnen|kontosperrung|sperrung|urgente?|dernier (?:rappel|avertissement)|félicitations|último aviso|ultimo avviso|assistance|business proposal|confidential|inheritance|beneficiary|adult|sexy?|xxx|hot|enlarge\w*|toner|insurance|payment (?:advice|overdue)|bitcoin|crypto|i have (?:hacked|full control)|pending (?:messages|payment|delivery)|your device)\b|\$\d|!!|\${2}|\d{2}% off/;

/** `isBulk`: mail that declares itself in its header may speak as advertising does. */
export function phraseHits(folded: string, subject: string, isBulk: boolean): Hit[] {
  const hits: Hit[] = [];
  // A digest of many pages holds something of everything.
  const more = folded.length > LONG ? 1 : 0;
  for (const { code, least: usual, patterns, heart = patterns.length } of ALL) {
    if ((isBulk && ADVERTISING.has(code)) || hits.some((one) => one.code === code)) continue;
    // Mail that can be left with a click may speak of health or money once; the shop that sells them does nothing else.
    const least =
      usual === 1 ? 1 : Math.min(usual + more + (isBulk && code.startsWith('rules.spam_') ? 1 : 0), patterns.length);
    let found = 0;
    let heartFound = false;
    let first = '';
    for (const [index, pattern] of patterns.entries()) {
      if (found + patterns.length - index < least || (index === heart && !heartFound)) break;
      const match = pattern.exec(folded);
      if (match === null) continue;
      found += 1;
      if (index < heart) heartFound = true;
      if (first === '') first = match[0];
      if (found >= least) break;
    }
    if (found >= least && heartFound) hits.push(hit(code, first.slice(0, 60)));
  }
  const bait = isBulk ? null : BAIT.exec(subject);
  if (bait !== null) hits.push(hit('rules.subject_bait', bait[0]));
  return hits;
}
