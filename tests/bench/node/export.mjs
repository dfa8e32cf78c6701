// Exports a CSV file to a Klaviyo list on Klaviyo's own SDK; see ../README.md.

import { createReadStream } from 'node:fs'
import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'

import { parse } from 'csv-parse'
import { ApiKeySession, ProfilesApi } from 'klaviyo-api'

const BATCH = 10_000
const IN_FLIGHT = 4

const { values: args } = parseArgs({
  options: {
    file: { type: 'string' },
    list: { type: 'string' },
    'base-url': { type: 'string', default: 'https://a.klaviyo.com' },
  },
})
if (!args.file || !args.list) {
  console.error('usage: node export.mjs --file segment.csv --list LIST [--base-url URL]')
  process.exit(64)
}

const profiles = new ProfilesApi(new ApiKeySession(process.env.KLAVIYO_API_KEY ?? 'pk_bench'))
profiles.basePath = args['base-url'].replace(/\/$/, '')

let requests = 0
// The axios that the SDK itself loads, so that its retries are counted too.
createRequire(createRequire(import.meta.url).resolve('klaviyo-api'))('axios').interceptors.request.use(
  (config) => {
    requests += 1
    return config
  },
)

const text = (cell) => cell || undefined
const number = (cell) => (cell === '' ? undefined : Number(cell))

function toProfile(row) {
  return {
    type: 'profile',
    attributes: {
      email: text(row.email),
      phoneNumber: text(row.phone),
      firstName: text(row.first_name),
      lastName: text(row.last_name),
      location: { city: text(row.city), country: text(row.country) },
      properties: {
        customer_id: text(row.customer_id),
        loyalty_tier: text(row.loyalty_tier),
        lifetime_value: number(row.lifetime_value),
        orders: number(row.orders),
        last_purchase: text(row.last_purchase),
      },
    },
  }
}

function send(data) {
  return profiles.bulkImportProfiles({
    data: {
      type: 'profile-bulk-import-job',
      attributes: { profiles: { data } },
      relationships: { lists: { data: [{ type: 'list', id: args.list }] } },
    },
  })
}

const started = process.hrtime.bigint()
const inFlight = new Set()
let rows = 0
let batches = 0

async function submit(batch) {
  while (inFlight.size >= IN_FLIGHT) await Promise.race(inFlight)
  batches += 1
  const sent = send(batch).finally(() => inFlight.delete(sent))
  inFlight.add(sent)
}

let batch = []
for await (const row of createReadStream(args.file).pipe(parse({ columns: true, bom: true }))) {
  rows += 1
  batch.push(toProfile(row))
  if (batch.length === BATCH) {
    await submit(batch)
    batch = []
  }
}
if (batch.length > 0) await submit(batch)
await Promise.all(inFlight)

const { user, system } = process.cpuUsage()
const seconds = Number(process.hrtime.bigint() - started) / 1e9
const report = { rows, batches, requests, seconds, cpu_seconds: (user + system) / 1e6 }
console.log(JSON.stringify(report))
