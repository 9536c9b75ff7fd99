/**
 * Dates of HTTP headers (RFC 9110, 5.6.7): the one form that is sent, and the two old ones that must
 * still be understood.
 *
 *     Sun, 06 Nov 1994 08:49:37 GMT
 *     Sunday, 06-Nov-94 08:49:37 GMT
 *     Sun Nov  6 08:49:37 1994
 */

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const FORMS: readonly RegExp[] = [
  /^[a-z]+, (?<day>\d\d)[ -](?<month>[a-z]{3})[ -](?<year>\d{4}|\d\d) (?<time>\d\d:\d\d:\d\d) gmt$/i,
  /^[a-z]{3} (?<month>[a-z]{3}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/i,
]

/** Seconds since 1970 of an HTTP date, NaN if it is none. */
export function parseHttpDate(text: string): number {
  for (const form of FORMS) {
    const groups = form.exec(text)?.groups
    if (groups === undefined) continue
    const { day = '', month = '', year = '', time = '' } = groups
    const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number)
    const monthIndex = MONTHS.indexOf(month.toLowerCase())
    // A leap second is one more.
    if (monthIndex === -1 || hours > 23 || minutes > 59 || seconds > 60) return NaN
    const days = daysSince1970(fullYear(year), monthIndex + 1, Number(day))
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds
  }
  return NaN
}

/** Two digits are those of 1970 to 2069. */
function fullYear(digits: string): number {
  const year = Number(digits)
  if (digits.length > 2) return year
  return year < 70 ? 2000 + year : 1900 + year
}

/** By the Gregorian calendar: years begin in March, so that the leap day is a year's last. */
function daysSince1970(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1
  const marchMonth = (month + 9) % 12
  const leapDays = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400)
  return y * 365 + leapDays + Math.floor((153 * marchMonth + 2) / 5) + day - 1 - 719_468
}
