/* A process of its own for one measurement: `child.js MEASUREMENT OPTIONS`, the options as JSON. */
import { type FillOptions, measureFill } from './fill.ts'
import { measureSpeed, type SpeedOptions } from './speed.ts'

const [measurement, json] = process.argv.slice(2)
const options: unknown = JSON.parse(json ?? '')
const figures =
  measurement === 'fill'
    ? await measureFill(options as FillOptions)
    : await measureSpeed(options as SpeedOptions)
process.stdout.write(JSON.stringify(figures))
