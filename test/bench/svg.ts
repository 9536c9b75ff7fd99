/*
 * The few elements of SVG that charts are made of, written by hand. Whatever is not a mark takes the
 * colour of a reader's theme.
 */

export const WIDTH = 880
export const MARGIN = 16

/** Legible on white and on black, and told apart by those who see no red or no green. */
export const COLORS = ['#3182ce', '#d97706', '#8b7fd6', '#0f9d7a', '#c2528b', '#7d8590']

const STYLE = `
    text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
    .title { font-size: 14px; font-weight: 600 }
    .faint { fill: #59636e }
    .grid { stroke: #d1d9e0; stroke-width: 1 }
    .one { stroke: #1f2328; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .faint { fill: #9198a1 }
      .grid { stroke: #30363d }
      .one { stroke: #e6edf3 }
    }
  `

export interface Chart {
  readonly height: number
  readonly title: string
  /** For those who cannot see it. */
  readonly description: string
  /** Elements. */
  readonly lines: readonly string[]
}

/** A whole document, with its title at the top. */
export function svg({ height, title, description, lines }: Chart): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title desc">`,
    `  <title id="title">${escape(title)}</title>`,
    `  <desc id="desc">${escape(description)}</desc>`,
    `  <style>${STYLE}</style>`,
    text(MARGIN, 22, title, 'title'),
    ...lines,
    '</svg>',
    '',
  ].join('\n')
}

/** `kind`: grid, or one for a line that counts. */
export function line(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  return `  <path d="M${fixed(x1)} ${fixed(y1)}L${fixed(x2)} ${fixed(y2)}" class="${kind}"/>`
}

/** `kind`: title, faint, or none; `anchor`: middle, end, or none. */
export function text(x: number, y: number, content: string, kind = '', anchor = ''): string {
  const attributes = [
    `x="${fixed(x)}" y="${fixed(y)}"`,
    ...(kind === '' ? [] : [`class="${kind}"`]),
    ...(anchor === '' ? [] : [`text-anchor="${anchor}"`]),
  ]
  return `  <text ${attributes.join(' ')}>${escape(content)}</text>`
}

/** A tenth of a pixel is enough. */
export function fixed(number: number): string {
  return String(Math.round(number * 10) / 10)
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
