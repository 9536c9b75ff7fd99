import pg from 'pg'

const database = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: 16,
  statement_timeout: 2000,
})
database.on('error', () => {}) // an idle connection was lost: the next query makes another one

export async function load(key, { params, notFound }) {
  // What no id can be is not asked for: Postgres would answer with an error, which counts as its fault.
  if (!/^[\w-]{1,64}$/.test(params.id)) return notFound
  const { rows } = await database.query('SELECT id, name FROM users WHERE id = $1', [params.id])
  return rows.length === 0 ? notFound : JSON.stringify(rows[0])
}
export const close = () => database.end()
