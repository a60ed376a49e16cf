/** Longest kept, in UTF-16 units: it is a key of rollups. */
const LENGTH_MAX = 120;

/**
 * Marks of answers and forwarded mail as mail programs of many languages put them: English, German (AW, WG), Dutch (Antw, Doorst),
 * French (Réf, TR), Italian (R, I, Rif), Spanish and Portuguese (RV, RES, ENC), Scandinavian (SV, VS, VB, VL), Finnish (VS, VL),
 * Polish (Odp, PD), Hungarian (VÁ, Továbbítás), Romanian, Turkish (YNT, İLT), Greek (ΑΠ, ΣΧΕΤ, ΠΡΘ), Russian, Chinese.
 */
const MARKS =
  /^(?:\[[^\]]{1,40}\]\s*)*(?:re|fwd?|aw|wg|antw|doorst|réf|ref|tr|r|i|rif|rv|res|enc|sv|vs|vb|vl|odp|pd|vá|továbbítás|ynt|i̇lt|ilt|απ|σχετ|πρθ|ha|на|ответ|пересл|回复|回覆|答复|转发|轉寄)(?:\s*\[\d+\]|\s*\(\d+\))?\s*[:：]\s*/u;

/**
 * A subject as it is counted: those of one campaign are one. Lower case, without the marks of answers and forwarding, runs of digits
 * as one `#`, runs of white space as one blank, at most 120 characters. Empty: there is no subject.
 */
export function campaignOf(subject: string): string {
  let text = subject
    .slice(0, 1_000)
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\p{Cc}\p{Cf}]/gu, ' ')
    .replace(/\s+/gu, ' ')
    .trim();
  for (let shorter = text.replace(MARKS, ''); shorter !== text; shorter = text.replace(MARKS, '')) text = shorter;
  return text
    .replace(/\p{Nd}+/gu, '#')
    .slice(0, LENGTH_MAX)
    .toWellFormed()
    .trim();
}
