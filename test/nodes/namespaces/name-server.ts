/*
 * A program that answers DNS questions over UDP at an address and port 53: RFC 1035, as much of it as the
 * system's look-up of a host name needs. Its arguments are the address, and the names with their IPv4
 * addresses as JSON. It says when it listens, and ends with its input.
 */
import { createSocket } from 'node:dgram'

const HEADER_BYTES = 12
const TYPE_A = 1
const CLASS_IN = 1
/** A response of a server that has the name itself, and no error. */
const ANSWERED = 0x8580
/** There is no such name. */
const NXDOMAIN = 3
/** Where the question's name stands in the message. */
const POINTER_TO_NAME = 0xc000 | HEADER_BYTES

const [, , host, json] = process.argv
const addresses = new Map(Object.entries(JSON.parse(json!) as Record<string, string[]>))

/** The question's name, and where it ends. */
function nameIn(query: Buffer): { name: string; end: number } {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (;;) {
    const length = query[at++]!
    if (length === 0) return { name: labels.join('.').toLowerCase(), end: at }
    labels.push(query.toString('latin1', at, at + length))
    at += length
  }
}

function record(address: string): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt16BE(POINTER_TO_NAME, 0)
  bytes.writeUInt16BE(TYPE_A, 2)
  bytes.writeUInt16BE(CLASS_IN, 4)
  bytes.writeUInt16BE(4, 10)
  return Buffer.concat([bytes, Buffer.from(address.split('.').map(Number))])
}

function answerTo(query: Buffer): Buffer {
  const { name, end } = nameIn(query)
  const found = addresses.get(name)
  // It has nothing but IPv4 addresses to say of a name.
  const records = query.readUInt16BE(end) === TYPE_A ? (found ?? []).map(record) : []
  const header = Buffer.from(query.subarray(0, HEADER_BYTES))
  header.writeUInt16BE(found === undefined ? ANSWERED | NXDOMAIN : ANSWERED, 2)
  header.writeUInt16BE(records.length, 6)
  header.fill(0, 8)
  return Buffer.concat([header, query.subarray(HEADER_BYTES, end + 4), ...records])
}

const socket = createSocket('udp4')
socket.on('message', (query, from) => socket.send(answerTo(query), from.port, from.address))
socket.bind(53, host, () => process.stdout.write('listens\n'))
process.stdin.resume().on('end', () => process.exit())
