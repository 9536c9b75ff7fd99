/* A process of its own for one measurement: `child.js MEASUREMENT OPTIONS`, both of them JSON. */
import { measureSpeed, type SpeedOptions } from './speed.ts'

const [measurement, json] = process.argv.slice(2)
if (measurement === 'speed') {
  process.stdout.write(JSON.stringify(await measureSpeed(JSON.parse(json!) as SpeedOptions)))
} else {
  throw new Error(`there is no measurement ${measurement}`)
}
