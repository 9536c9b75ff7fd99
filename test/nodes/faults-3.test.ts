import { faultTests } from './faults.ts'

faultTests(3)
