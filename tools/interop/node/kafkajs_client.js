// KafkaJS: consumes in groups alone. Usage: produce BOOTSTRAP JOBS, calls BOOTSTRAP FILE, or group BOOTSTRAP FILE.
// Job list and plan are described in harness/plan.py and python/jobs.py. gzip is built in; the other codecs are plugged in.
'use strict'

const fs = require('node:fs')
const kafkajs = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')
const { calls } = require('./calls')
const { join } = require('./member')

// KafkaJS makes one batch of all that one send() holds for a partition; stay below the broker's default limit.
const BATCH_BYTES = 900_000

const { CompressionTypes, CompressionCodecs } = kafkajs
const plug = (compress) => () => ({ compress: async (encoder) => compress(encoder.buffer), decompress: async () => { throw new Error('unused') } })
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = plug((data) => lz4.compressFrame(data))
CompressionCodecs[CompressionTypes.ZSTD] = plug((data) => Buffer.from(zstd.compress(data)))

const codecs = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD,
}

const lines = (path) => fs.readFileSync(path, 'utf8').split('\n').filter((line) => line)
const decode = (text) => (text === '-' ? null : Buffer.from(text, 'base64'))

function parseJob(line) {
  const [group, topic, codec, maxRequest, counts, plan] = line.split('\t')
  return { group, topic, codec, maxRequest: Number(maxRequest), counts: counts.split(',').map(Number), plan }
}

function parseRecord(line) {
  const [partition, timestamp, key, value, pairs] = line.split('\t')
  const headers = {}
  for (const pair of pairs.split(',').filter((pair) => pair)) {
    const [name, data] = pair.split(':')
    headers[decode(name).toString()] = decode(data)
  }
  return { partition: Number(partition), timestamp, key: decode(key), value: decode(value), headers }
}

// Slices of the plan, each small enough for one send().
function* batches(records) {
  let batch = []
  let bytes = 0
  for (const record of records) {
    const size = (record.key?.length ?? 0) + (record.value?.length ?? 0) + 2000
    if (batch.length && bytes + size > BATCH_BYTES) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(record)
    bytes += size
  }
  if (batch.length) yield batch
}

async function produce(producer, job, acks) {
  for (const messages of batches(lines(job.plan).map(parseRecord))) {
    const answers = await producer.send({ topic: job.topic, compression: codecs[job.codec], messages })
    for (const { partition, errorCode, baseOffset } of answers) {
      if (errorCode !== 0) throw new Error(`error code ${errorCode}`)
      const count = messages.filter((message) => message.partition === partition).length
      acks.count[partition] += count
      acks.last[partition] = Math.max(acks.last[partition], Number(baseOffset) + count - 1)
    }
  }
}

async function main() {
  const [action, bootstrap, path] = process.argv.slice(2)
  if (action === 'group') return join(bootstrap, path)
  await zstd.init()
  if (action === 'calls') return calls(bootstrap, path)
  if (action !== 'produce') throw new Error(`KafkaJS cannot ${action} without a group`)
  const producer = new kafkajs.Kafka({ brokers: [bootstrap] }).producer()
  await producer.connect()
  for (const job of lines(path).map(parseJob)) {
    const acks = { count: job.counts.map(() => 0), last: job.counts.map(() => -1) }
    try {
      await produce(producer, job, acks)
    } catch (error) {
      console.error(error)
      console.log([job.topic, 'error', String(error).replace(/\s+/g, ' ')].join('\t'))
    }
    job.counts.forEach((_, p) => console.log([job.topic, p, acks.count[p], acks.last[p]].join('\t')))
  }
  await producer.disconnect()
}

main()
