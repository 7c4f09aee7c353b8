// The calls of harness/calls.py with KafkaJS. Usage: calls(BOOTSTRAP, FILE).
'use strict'

const fs = require('node:fs')
const { setTimeout: sleep } = require('node:timers/promises')
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require('kafkajs')

const PATIENCE_MS = 5000
const TIMEOUT_MS = 15_000
const COMPARED_KEYS = ['cleanup.policy', 'max.message.bytes', 'retention.ms']
const BROKER_KEYS = ['message.max.bytes', 'num.partitions']
const CODECS = [CompressionTypes.None, CompressionTypes.GZIP, CompressionTypes.Snappy, CompressionTypes.LZ4, CompressionTypes.ZSTD]

class Told extends Error {
  constructor(code) {
    super(`error ${code}`)
    this.code = code
  }
}

// Kafka's code, wherever KafkaJS puts it, or 'refused', or null.
function codeOf(error) {
  if (error.name === 'KafkaJSServerDoesNotSupportApiKey') return 'refused'
  if (typeof error.code === 'number') return error.code
  for (const inner of [error.cause, ...(error.errors ?? []), ...(error.partitions ?? []).map((partition) => partition.error)]) {
    const code = inner ? codeOf(inner) : null
    if (code !== null) return code
  }
  return null
}

async function attempt(call) {
  try {
    return await call()
  } catch (error) {
    const code = codeOf(error)
    if (code === 'refused') return code
    if (code !== null) return `error ${code}`
    console.error(error)
    return `failed with ${String(error).replace(/\s+/g, ' ')}`
  }
}

class Day {
  constructor(bootstrap, path) {
    const lines = fs.readFileSync(path, 'utf8').split('\n').filter((line) => line)
    this.values = Object.fromEntries(lines.map((line) => line.split('\t')))
    this.node = Number(this.values.node)
    this.base = Number(this.values.base)
    this.kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, requestTimeout: TIMEOUT_MS, retry: { retries: 2 } })
    this.admin = this.kafka.admin()
  }

  topic(name) {
    return `${this.values.prefix}.${name}`
  }

  mine(topics) {
    const start = this.topic('')
    return topics.filter((topic) => topic.startsWith(start)).map((topic) => topic.slice(start.length)).filter((name) => name !== 'r').sort().join(' ')
  }

  async run(calls) {
    for (const [name, call] of calls) {
      const wanted = this.values[`want.${name.split('/')[0]}`]
      const deadline = Date.now() + PATIENCE_MS
      let answer = await attempt(call)
      while (wanted !== undefined && wanted !== answer && Date.now() < deadline) {
        await sleep(50)
        answer = await attempt(call)
      }
      console.log(`${name}\t${answer}`)
    }
  }

  // Topics.

  async create(name, options = {}, validateOnly = false) {
    const topics = [{ topic: this.topic(name), ...options }]
    const made = await this.admin.createTopics({ topics, validateOnly, timeout: TIMEOUT_MS, waitForLeaders: false })
    if (!made) throw new Told(36) // all that it says of a topic that is there already
    return 'ok'
  }

  async metadata(...names) {
    return (await this.admin.fetchTopicMetadata({ topics: names.map((name) => this.topic(name)) })).topics
  }

  async sizes(...names) {
    const topics = await this.metadata(...names)
    return topics.map(({ name, partitions }) => `${name.split('.').pop()}=${partitions.length}`).sort().join(' ')
  }

  async placed() {
    const [{ partitions }] = await this.metadata('p')
    return partitions.map((p) => `${p.partitionId}=${p.leader}/${p.replicas.join(' ')}/${p.isr.join(' ')}`).sort().join(' ')
  }

  async partitions(name, count, assignments, validateOnly = false) {
    await this.admin.createPartitions({ topicPartitions: [{ topic: this.topic(name), count, assignments }], validateOnly, timeout: TIMEOUT_MS })
    return 'ok'
  }

  async delete(...names) {
    await this.admin.deleteTopics({ topics: names.map((name) => this.topic(name)), timeout: TIMEOUT_MS })
    return 'ok'
  }

  // Settings.

  async configs(type, name, configNames, includeSynonyms = false) {
    const { resources } = await this.admin.describeConfigs({ resources: [{ type, name, configNames }], includeSynonyms })
    return resources[0].configEntries
  }

  async shown(keys, type = ConfigResourceTypes.TOPIC, name = this.topic('t'), asked = undefined) {
    const entries = await this.configs(type, name, asked)
    const shown = entries.filter((entry) => asked || keys.includes(entry.configName))
    return shown.map((entry) => `${entry.configName}=${entry.configValue}/${entry.configSource}`).sort().join(' ')
  }

  async synonyms() {
    const [entry] = await this.configs(ConfigResourceTypes.TOPIC, this.topic('t'), ['max.message.bytes'], true)
    return entry.configSynonyms.map((s) => `${s.configName}=${s.configValue}/${s.configSource}`).join(' ')
  }

  async alter(name, key, value) {
    const configEntries = [{ name: key, value }]
    await this.admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: this.topic(name), configEntries }], validateOnly: false })
    return 'ok'
  }

  // Records.

  async produce(name, partition, values, { timestamps = [], idempotent = false, allowAutoTopicCreation = false, ...settings } = {}) {
    const producer = this.kafka.producer({ idempotent, allowAutoTopicCreation, ...(idempotent ? { maxInFlightRequests: 1 } : {}) })
    await producer.connect()
    try {
      const messages = values.map((value, i) => ({ partition, key: `k${i}`, value, ...(timestamps[i] ? { timestamp: String(timestamps[i]) } : {}) }))
      const answers = await producer.send({ topic: this.topic(name), messages, timeout: TIMEOUT_MS, ...settings })
      if (settings.acks === 0) return values.map(() => 'ok').join(' ')
      return values.map((_, i) => Number(answers[0].baseOffset) + i).join(' ')
    } finally {
      await producer.disconnect()
    }
  }

  async codecs(idempotent) {
    const offsets = []
    for (const compression of CODECS) {
      offsets.push(await this.produce('p', 2, ['some '.repeat(100), 'more '.repeat(100)], { compression, idempotent }))
    }
    return offsets.join(' ')
  }

  async autoCreate() {
    if (!(await this.admin.listTopics()).includes(this.topic('a'))) {
      await this.produce('a', 0, ['first'], { allowAutoTopicCreation: true })
    }
    return this.bound('a', 0, 'low')
  }

  async bound(name, partition, which) {
    const found = await this.admin.fetchTopicOffsets(this.topic(name))
    return found.find((p) => p.partition === partition)[which]
  }

  async atTime(ms) {
    const found = await this.admin.fetchTopicOffsetsByTimestamp(this.topic('p'), ms)
    return found.find((p) => p.partition === 1).offset
  }

  async deleteRecords(offset) {
    await this.admin.deleteTopicRecords({ topic: this.topic('p'), partitions: [{ partition: 1, offset }] })
    return this.bound('p', 1, 'low') // it gives no answer
  }
}

function planTopics(day) {
  const [at, absent] = [day.node, day.node + 98]
  const settings = [{ name: 'retention.ms', value: '3600000' }, { name: 'max.message.bytes', value: '2000000' }]
  const placed = (...nodes) => ({ numPartitions: -1, replicationFactor: -1, replicaAssignment: nodes.map((node, partition) => ({ partition, replicas: [node] })) })
  const broker = [ConfigResourceTypes.BROKER, String(at)]
  const cluster = async (tell) => tell(await day.admin.describeCluster())
  return [
    ['cluster_id', () => cluster((found) => found.clusterId)],
    ['controller', () => cluster((found) => String(found.controller))],
    ['nodes', () => cluster((found) => found.brokers.map((b) => `${b.nodeId}=${b.host}:${b.port}`).join(' '))],
    ['create', () => day.create('t', { numPartitions: 3, replicationFactor: 1, configEntries: settings })],
    ['create_defaults', () => day.create('d')],
    ['create_manual', () => day.create('m', placed(at, at))],
    ['create_validate', () => day.create('v', {}, true)],
    ['create_duplicate', () => day.create('t')],
    ['create_bad_value', () => day.create('x', { configEntries: [{ name: 'retention.ms', value: 'soon' }] })],
    ['create_bad_key', () => day.create('x', { configEntries: [{ name: 'no.such.key', value: '1' }] })],
    ['create_bad_partitions', () => day.create('x', { numPartitions: 0 })],
    ['create_bad_replication', () => day.create('x', { replicationFactor: 3 })],
    ['create_bad_name', () => day.create('a/b')],
    ['create_bad_assignment', () => day.create('x', placed(absent))],
    ['create_p', () => day.create('p', { numPartitions: 4 })],
    ['list_topics', async () => day.mine(await day.admin.listTopics())],
    ['describe_topics', () => day.sizes('d', 'm', 't')],
    ['describe_partitions', () => day.placed()],
    ['describe_unknown', () => day.sizes('x')],
    ['configs', () => day.shown(COMPARED_KEYS)],
    ['configs_some', () => day.shown(null, ConfigResourceTypes.TOPIC, day.topic('t'), ['retention.ms', 'cleanup.policy'])],
    ['configs_synonyms', () => day.synonyms()],
    ['configs_broker', () => day.shown(BROKER_KEYS, ...broker)],
    ['configs_broker_some', () => day.shown(null, ...broker, ['num.partitions'])],
    ['configs_unknown', () => day.shown(COMPARED_KEYS, ConfigResourceTypes.TOPIC, day.topic('x'))],
    ['alter_legacy', () => day.alter('t', 'max.message.bytes', '1500000')],
    ['alter_legacy_done', () => day.shown(COMPARED_KEYS)],
    ['alter_legacy_bad_value', () => day.alter('t', 'retention.ms', 'soon')],
    ['alter_legacy_unknown', () => day.alter('x', 'retention.ms', '1000')],
    ['partitions_validate', () => day.partitions('m', 3, undefined, true)],
    ['partitions', () => day.partitions('m', 4)],
    ['partitions_manual', () => day.partitions('m', 5, [[at]])],
    ['partitions_done', () => day.sizes('m')],
    ['partitions_fewer', () => day.partitions('m', 2)],
    ['partitions_bad_assignment', () => day.partitions('m', 6, [[absent]])],
    ['partitions_unknown', () => day.partitions('x', 2)],
  ]
}

function planRecords(day) {
  const timed = [...Array(10).keys()]
  const timestamps = timed.map((i) => day.base + (i === 7 ? 99_000 : 1000 * i))
  const three = ['a', 'b', 'c']
  return [
    ['produce_leader', () => day.produce('p', 0, three, { acks: 1 })],
    ['produce_all', () => day.produce('p', 0, three, { acks: -1 })],
    ['produce_idempotent', () => day.produce('p', 0, three, { idempotent: true })],
    ['produce_times', () => day.produce('p', 1, timed.map((i) => `v${i}`), { timestamps })],
    ['produce_codecs', () => day.codecs(false)],
    ['produce_codecs_idempotent', () => day.codecs(true)],
    ['produce_none', () => day.produce('p', 3, three, { acks: 0 })],
    ['produce_none_done', () => day.bound('p', 3, 'high')],
    ['produce_large', () => day.produce('p', 0, [Buffer.alloc(3_000_000)])],
    ['produce_future', () => day.produce('p', 0, ['a'], { timestamps: [day.base + 86_400_000] })],
    ['produce_unknown', () => day.produce('x', 0, ['a'])],
    ['auto_create', () => day.autoCreate()],
    ['offset_earliest', () => day.bound('p', 1, 'low')],
    ['offset_latest', () => day.bound('p', 1, 'high')],
    ['offset_time', () => day.atTime(day.base + 3500)],
    ['offset_unknown', () => day.bound('x', 0, 'high')],
    ['partitions_of', async () => (await day.metadata('p'))[0].partitions.map((p) => p.partitionId).sort().join(' ')],
    ['consume_bounds', async () => `${await day.bound('p', 1, 'low')} ${await day.bound('p', 1, 'high')}`],
    ['delete_records', () => day.deleteRecords('3')],
    ['delete_records_done', () => day.bound('p', 1, 'low')],
    ['delete_records_beyond', () => day.deleteRecords('1000')],
    ['delete_records_all', () => day.deleteRecords('-1')],
    ['groups', async () => day.mine((await day.admin.listGroups()).groups.map((group) => group.groupId))],
    ['delete', () => day.delete('d')],
    ['delete_unknown', () => day.delete('x')],
    ['delete_done', async () => {
      const topics = await day.admin.listTopics()
      return ['d', 't'].filter((name) => topics.includes(day.topic(name))).join(' ')
    }],
    ['create_again', () => day.create('d')],
    ['create_again_done', () => day.bound('d', 0, 'high')],
    ['cleanup', () => day.delete('a', 'd', 'm', 'p', 't')],
  ]
}

async function calls(bootstrap, path) {
  const day = new Day(bootstrap, path)
  await day.admin.connect()
  await day.run([...planTopics(day), ...planRecords(day)])
  await day.admin.disconnect()
}

module.exports = { calls }
