import pg from 'pg'

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL })
export async function load(key, { params, notFound }) {
  const { rows } = await database.query('SELECT name FROM users WHERE id = $1', [params.id])
  return rows.length === 0 ? notFound : JSON.stringify(rows[0])
}
export const close = () => database.end()
