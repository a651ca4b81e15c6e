const QUOTE = 34;
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** The text, or the longest record, ends within a quoted field. */
export const UNCLOSED = -1;
/** Something other than a delimiter or a line end follows a closing quote. */
export const MALFORMED = -2;

/**
 * Where the record that starts at `start` ends: the place of its newline, quoted ones passed over; `text.length` if the
 * text ends first; {@link UNCLOSED} or {@link MALFORMED} if it has no end. Quoted fields are followed for `maxLength` characters.
 */
export function csvRecordEnd(text: string, start: number, delimiter: number, maxLength: number): number {
  let at = start;
  for (;;) {
    if (text.charCodeAt(at) === QUOTE) {
      let close = text.indexOf('"', at + 1);
      while (close >= 0 && text.charCodeAt(close + 1) === QUOTE) close = text.indexOf('"', close + 2);
      if (close < 0 || close + 1 - start > maxLength) return UNCLOSED;
      at = close + 1;
      if (at >= text.length) return text.length;
      const code = text.charCodeAt(at);
      if (code !== delimiter && code !== NEWLINE && code !== CARRIAGE_RETURN) return MALFORMED;
    }
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === NEWLINE) return at;
      if (code === delimiter) break;
    }
    if (at >= text.length) return text.length;
    at++;
  }
}

/**
 * The fields of one record (its line end taken off), or why it is malformed. A quote inside an unquoted field is taken
 * as it is; after a closing quote only a delimiter may follow.
 */
export function splitCsvRecord(record: string, delimiter: string): readonly string[] | string {
  if (!record.includes('"')) return record.split(delimiter);
  const separator = delimiter.charCodeAt(0);
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (record.charCodeAt(at) === QUOTE) {
      let close = record.indexOf('"', at + 1);
      let doubled = false;
      while (close >= 0 && record.charCodeAt(close + 1) === QUOTE) {
        doubled = true;
        close = record.indexOf('"', close + 2);
      }
      if (close < 0) return `field ${fields.length + 1} opens a quote and never closes it`;
      const field = record.slice(at + 1, close);
      fields.push(doubled ? field.replaceAll('""', '"') : field);
      at = close + 1;
      if (at < record.length && record.charCodeAt(at) !== separator) {
        return `field ${fields.length} goes on after its closing quote, at character ${at}`;
      }
    } else {
      const end = record.indexOf(delimiter, at);
      fields.push(end < 0 ? record.slice(at) : record.slice(at, end));
      at = end < 0 ? record.length : end;
    }
    if (at >= record.length) return fields;
    at++;
  }
}

/** A record or line without the carriage return of its line end. */
export function withoutCarriageReturn(text: string, start: number, end: number): string {
  return text.slice(start, end > start && text.charCodeAt(end - 1) === CARRIAGE_RETURN ? end - 1 : end);
}
