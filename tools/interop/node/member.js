// KafkaJS as a member of a group, as harness/members.py describes it. Usage: join(BOOTSTRAP, FILE).
'use strict'

const fs = require('node:fs')
const readline = require('node:readline')
const { AssignerProtocol, Kafka, logLevel } = require('kafkajs')

const SESSION_MS = 6000
const HEARTBEAT_MS = 500
const AUTO_COMMIT_MS = 200
const FETCH_WAIT_MS = 100

const tell = (...fields) => process.stdout.write(fields.join('\t') + '\n')
const words = (error) => String(error).replace(/\s+/g, ' ')

// KafkaJS brings round robin only, under a name of its own. This is Kafka's `range`, for groups with others.
const range = ({ cluster }) => ({
  name: 'range',
  version: 0,
  protocol: ({ topics }) => ({
    name: 'range', metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) }),
  }),
  assign: async ({ members, topics }) => {
    const ids = members.map(({ memberId }) => memberId).sort()
    const assigned = Object.fromEntries(ids.map((id) => [id, {}]))
    for (const topic of topics) {
      const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId).sort((a, b) => a - b)
      ids.forEach((id, i) => {
        const share = (n) => Math.floor(partitions.length / ids.length) * n + Math.min(n, partitions.length % ids.length)
        assigned[id][topic] = partitions.slice(share(i), share(i + 1))
      })
    }
    return ids.map((memberId) => ({
      memberId, memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment: assigned[memberId], userData: Buffer.alloc(0) }),
    }))
  },
})

class Member {
  constructor(bootstrap, plan) {
    this.plan = plan
    this.next = new Map()
    const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.WARN, logCreator: () => ({ log }) => console.error(log.message, log.error ?? ''),
      retry: { retries: 100, initialRetryTime: 100, maxRetryTime: 500 } })
    this.consumer = kafka.consumer({
      groupId: plan.group, partitionAssigners: [range], sessionTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS,
      rebalanceTimeout: SESSION_MS, maxWaitTimeInMs: FETCH_WAIT_MS,
    })
    this.consumer.on(this.consumer.events.GROUP_JOIN, ({ payload }) => {
      this.next.clear()
      tell('assigned', (payload.memberAssignment[plan.topic] ?? []).sort((a, b) => a - b).join(' '))
    })
    this.consumer.on(this.consumer.events.REBALANCING, () => tell('assigned', ''))
  }

  async run() {
    await this.consumer.connect()
    await this.consumer.subscribe({ topics: [this.plan.topic], fromBeginning: true })
    const auto = this.plan.commit === 'auto'
    await this.consumer.run({
      autoCommit: auto, autoCommitInterval: auto ? AUTO_COMMIT_MS : null, eachBatchAutoResolve: true,
      eachBatch: async ({ batch, heartbeat }) => {
        for (const { offset, value } of batch.messages) tell('record', batch.partition, offset, value)
        const last = batch.messages.at(-1)
        this.next.set(batch.partition, (BigInt(last.offset) + 1n).toString())
        if (this.plan.commit === 'sync' || this.plan.commit === 'async') {
          await this.commit([batch.partition]).catch((error) => tell('uncommitted', words(error)))
        }
        await heartbeat()
      },
    })
  }

  async commit(partitions = [...this.next.keys()]) {
    const positions = partitions.map((partition) => ({ topic: this.plan.topic, partition, offset: this.next.get(partition) }))
    await this.commitPositions(positions)
  }

  async commitPositions(positions) {
    await this.consumer.commitOffsets(positions)
    for (const { partition, offset } of positions) tell('committed', partition, offset)
  }

  async obey([order, ...rest]) {
    const topic = this.plan.topic
    const [partition, offset] = rest.map(Number).filter((number) => !Number.isNaN(number))
    if (order === 'commit') {
      if (rest[0] === 'hand') return this.commitPositions([{ topic, partition, offset: String(offset) }])
      const committing = this.commit() // the promise is the asynchronous commit
      if (rest[0] === 'sync') return committing
      committing.catch((error) => tell('uncommitted', words(error)))
      return
    }
    if (order === 'seek') this.consumer.seek({ topic, partition, offset: String(offset) })
    else this.consumer[order]([{ topic, partitions: [partition] }]) // pause or resume
    tell('done', order)
  }

  async leave() {
    await this.consumer.disconnect()
    process.exit(0)
  }
}

async function join(bootstrap, path) {
  const lines = fs.readFileSync(path, 'utf8').split('\n').filter((line) => line)
  const member = new Member(bootstrap, Object.fromEntries(lines.map((line) => line.split('\t'))))
  const input = readline.createInterface({ input: process.stdin })
  input.on('line', (line) => {
    const order = line.split(' ')
    if (order[0] === 'leave') return member.leave()
    member.obey(order).catch((error) => {
      console.error(error)
      tell('failed', words(error))
    })
  })
  input.on('close', () => member.leave())
  await member.run()
}

module.exports = { join }
