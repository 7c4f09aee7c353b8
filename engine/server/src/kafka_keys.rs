//! Kafka's keys that torc does not have, and what becomes of each: all broker keys of Kafka 2.8 to 4.4 (as `KafkaConfig` of each
//! lists them) but those in [`crate::keys::KEYS`], and those that plug-ins and usual distributions add.
//!
//! What would weaken a promise if it were left out (whom may clients be, how many copies, what is deleted) is refused.

use crate::zookeeper_keys::ZOOKEEPER;

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does what it says.
    Works,
    /// It stands again further on, or a stronger key for the same does.
    Overridden,
    /// It means nothing here.
    Ignored,
    /// It belongs to what torc does not have yet; the server starts without.
    NotYet,
    /// Another key decides; the server starts without this one.
    Replaced(&'static str),
    /// In [`KAFKA`] alone: the value that stands behind `=` is how torc works, any other is refused.
    Only,
    /// The server does not start with it. In [`KAFKA`]: unless it has the value behind `=`, which asks for nothing.
    Refused,
}

impl Fate {
    /// For people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Works => "works",
            Fate::Overridden => "overridden",
            Fate::Ignored => "ignored",
            Fate::NotYet => "not yet",
            Fate::Replaced(_) => "replaced",
            Fate::Only | Fate::Refused => "refused",
        }
    }
}

/// Keys with one fate, for one reason.
#[derive(Debug)]
pub struct Group {
    /// What becomes of them.
    pub fate: Fate,
    /// Why.
    pub why: &'static str,
    /// Names with blanks between. `name=a|b` names harmless values too, `name.*` is every name that begins so.
    pub keys: &'static str,
}

/// A server that is to be protected must not serve in the clear instead.
pub const NO_SECURITY: &str =
    "torc has no TLS, authentication or authorization yet, and must not serve in the clear what is to be protected";

/// Every group. Of a name that several match, the one that names it in full counts.
pub static KAFKA: &[Group] = &[
    Group {
        fate: Fate::Ignored,
        why: "torc has no separate controllers and keeps its metadata itself",
        keys: "\
            broker.heartbeat.interval.ms broker.session.timeout.ms control.plane.listener.name \
            controller.performance.always.log.threshold.ms controller.performance.sample.period.ms \
            controller.quorum.append.linger.ms controller.quorum.auto.join.enable controller.quorum.bootstrap.servers \
            controller.quorum.election.backoff.max.ms controller.quorum.election.timeout.ms \
            controller.quorum.fetch.max.bytes controller.quorum.fetch.snapshot.max.bytes controller.quorum.fetch.timeout.ms \
            controller.quorum.request.timeout.ms controller.quorum.retry.backoff.ms controller.quorum.voters \
            controller.socket.timeout.ms early.start.listeners initial.broker.registration.timeout.ms \
            internal.metadata.delete.delay.millis internal.metadata.log.segment.bytes \
            internal.metadata.max.batch.size.in.bytes metadata.log.dir metadata.log.max.record.bytes.between.snapshots \
            metadata.log.max.snapshot.interval.ms metadata.log.segment.bytes metadata.log.segment.min.bytes \
            metadata.log.segment.ms metadata.max.idle.interval.ms metadata.max.retention.bytes metadata.max.retention.ms \
            process.roles",
    },
    Group {
        fate: Fate::Ignored,
        why: "torc keeps its metadata itself, without ZooKeeper, and does not join the cluster there",
        keys: "\
            zookeeper.clientCnxnSocket zookeeper.connect zookeeper.connection.timeout.ms zookeeper.max.in.flight.requests \
            zookeeper.metadata.migration.enable zookeeper.metadata.migration.min.batch.size zookeeper.session.timeout.ms \
            zookeeper.set.acl zookeeper.ssl.cipher.suites zookeeper.ssl.client.enable zookeeper.ssl.crl.enable \
            zookeeper.ssl.enabled.protocols zookeeper.ssl.endpoint.identification.algorithm zookeeper.ssl.keystore.location \
            zookeeper.ssl.keystore.password zookeeper.ssl.keystore.type zookeeper.ssl.ocsp.enable zookeeper.ssl.protocol \
            zookeeper.ssl.truststore.location zookeeper.ssl.truststore.password zookeeper.ssl.truststore.type \
            zookeeper.sync.time.ms",
    },
    Group {
        fate: Fate::Replaced("torc.shards"),
        why: "a shard serves its own connections and does its own disk operations; the kernel sizes socket buffers",
        keys: "\
            background.threads num.io.threads num.network.threads num.recovery.threads.per.data.dir queued.max.request.bytes \
            queued.max.requests socket.listen.backlog.size socket.receive.buffer.bytes socket.send.buffer.bytes",
    },
    Group {
        fate: Fate::Replaced("torc.shards"),
        why: "each shard compacts its own partitions, one after the other, beside everything else that it does",
        keys: "log.cleaner.threads",
    },
    Group {
        fate: Fate::Ignored,
        why: "compaction reads as consumers do, in pieces of 256 KiB, and never fills its table of keys by more than nine tenths",
        keys: "log.cleaner.io.buffer.load.factor log.cleaner.io.buffer.size",
    },
    Group {
        fate: Fate::Replaced("torc.wal.segment.bytes"),
        why: "all partitions of a shard share the segments of one log, and no partition has files of its own",
        keys: "\
            log.index.interval.bytes log.index.size.max.bytes log.initial.task.delay.ms log.preallocate log.roll.hours \
            log.roll.jitter.hours log.roll.jitter.ms log.roll.ms log.segment.bytes log.segment.delete.delay.ms",
    },
    Group {
        fate: Fate::Replaced("torc.metrics.listen"),
        why: "metrics are served over HTTP, not by JMX or classes of Java",
        keys: "\
            auto.include.jmx.reporter kafka.metrics.polling.interval.secs kafka.metrics.reporters metric.reporters \
            metrics.num.samples metrics.recording.level metrics.sample.window.ms kafka.csv.metrics.* metrics.* \
            cruise.control.metrics.* jmx.*",
    },
    Group {
        fate: Fate::Ignored,
        why: "nothing is acknowledged before it is flushed",
        keys: "\
            log.flush.interval.messages log.flush.interval.ms log.flush.offset.checkpoint.interval.ms \
            log.flush.scheduler.interval.ms log.flush.start.offset.checkpoint.interval.ms",
    },
    Group {
        fate: Fate::Ignored,
        why: "record batches are stored as they were sent",
        keys: "compression.gzip.level compression.lz4.level compression.type compression.zstd.level",
    },
    Group {
        fate: Fate::Ignored,
        why: "record batches of format 2 only, and no other brokers to speak an older protocol with",
        keys: "\
            inter.broker.protocol.version log.message.downconversion.enable log.message.format.version \
            unstable.api.versions.enable unstable.feature.versions.enable",
    },
    Group {
        fate: Fate::Ignored,
        why: "torc keeps all data in one directory",
        keys: "cordoned.log.dirs log.dir.failure.timeout.ms num.replica.alter.log.dirs.threads",
    },
    Group {
        fate: Fate::Ignored,
        why: "it tunes the inside of the Java broker",
        keys: "\
            broker.id.generation.enable delete.records.purgatory.purge.interval.requests \
            fetch.purgatory.purge.interval.requests producer.id.expiration.check.interval.ms \
            producer.purgatory.purge.interval.requests reserved.broker.max.id server.max.startup.time.ms \
            share.fetch.purgatory.purge.interval.requests",
    },
    Group {
        fate: Fate::Ignored,
        why: "torc stores no passwords",
        keys: "\
            password.encoder.cipher.algorithm password.encoder.iterations password.encoder.key.length \
            password.encoder.keyfactory.algorithm password.encoder.old.secret password.encoder.secret",
    },
    Group {
        fate: Fate::Ignored,
        why: "a key of other software or of an image, not of Kafka's broker",
        keys: "confluent.* io.confluent.* strimzi.* cluster.id max.partition.fetch.bytes max.request.size",
    },
    Group {
        fate: Fate::Ignored,
        why: "records of consumer groups are appended like all others: to one log, flushed before the answer",
        keys: "\
            group.coordinator.append.linger.ms group.coordinator.background.threads \
            group.coordinator.cached.buffer.max.bytes group.coordinator.new.enable \
            group.coordinator.rebalance.protocols group.coordinator.threads offsets.commit.required.acks \
            offsets.commit.timeout.ms offsets.load.buffer.size offsets.topic.compression.codec \
            offsets.topic.segment.bytes",
    },
    Group {
        fate: Fate::Ignored,
        why: "partitions are assigned, and patterns of topics looked up, as soon as something changes",
        keys: "\
            group.consumer.assignment.interval.ms group.consumer.assignor.offload.enable \
            group.consumer.max.assignment.interval.ms group.consumer.min.assignment.interval.ms \
            group.consumer.regex.refresh.interval.ms",
    },
    Group {
        fate: Fate::NotYet,
        why: "share groups, streams groups and transactions are not served",
        keys: "\
            add.partitions.to.txn.retry.backoff.max.ms add.partitions.to.txn.retry.backoff.ms \
            errors.deadletterqueue.auto.create.topics.enable errors.deadletterqueue.topic.name.prefix \
            group.share.assignment.interval.ms \
            group.share.assignor.offload.enable group.share.assignors group.share.delivery.count.limit \
            group.share.dlq.manager.class.name group.share.enable group.share.heartbeat.interval.ms \
            group.share.initialize.retry.interval.ms group.share.max.assignment.interval.ms \
            group.share.max.delivery.count.limit group.share.max.groups group.share.max.heartbeat.interval.ms \
            group.share.max.partition.max.record.locks group.share.max.record.lock.duration.ms \
            group.share.max.session.timeout.ms group.share.max.share.sessions group.share.max.size \
            group.share.min.assignment.interval.ms group.share.min.delivery.count.limit \
            group.share.min.heartbeat.interval.ms group.share.min.partition.max.record.locks \
            group.share.min.record.lock.duration.ms group.share.min.session.timeout.ms \
            group.share.partition.max.record.locks group.share.persister.class.name group.share.record.lock.duration.ms \
            group.share.session.timeout.ms group.streams.acceptable.recovery.lag group.streams.assignment.interval.ms \
            group.streams.assignor.offload.enable group.streams.assignors group.streams.heartbeat.interval.ms \
            group.streams.initial.rebalance.delay.ms group.streams.max.assignment.interval.ms \
            group.streams.max.heartbeat.interval.ms group.streams.max.session.timeout.ms group.streams.max.size \
            group.streams.max.standby.replicas group.streams.max.warmup.replicas group.streams.min.assignment.interval.ms \
            group.streams.min.heartbeat.interval.ms group.streams.min.session.timeout.ms \
            group.streams.min.task.offset.interval.ms group.streams.num.standby.replicas group.streams.num.warmup.replicas \
            group.streams.rack.aware.assignment.tags group.streams.session.timeout.ms group.streams.task.offset.interval.ms \
            group.streams.topology.description.plugin.class \
            \
            \
            share.coordinator.append.linger.ms share.coordinator.cached.buffer.max.bytes \
            share.coordinator.cold.partition.snapshot.interval.ms share.coordinator.load.buffer.size \
            share.coordinator.snapshot.update.records.per.snapshot share.coordinator.state.topic.compression.codec \
            share.coordinator.state.topic.min.isr share.coordinator.state.topic.num.partitions \
            share.coordinator.state.topic.prune.interval.ms share.coordinator.state.topic.replication.factor \
            share.coordinator.state.topic.segment.bytes share.coordinator.threads share.coordinator.write.timeout.ms \
            share.fetch.max.fetch.records transaction.abort.timed.out.transaction.cleanup.interval.ms \
            transaction.max.timeout.ms transaction.partition.verification.enable \
            transaction.remove.expired.transaction.cleanup.interval.ms transaction.state.log.load.buffer.size \
            transaction.state.log.min.isr transaction.state.log.num.partitions transaction.state.log.replication.factor \
            transaction.state.log.segment.bytes transaction.two.phase.commit.enable transactional.id.expiration.ms",
    },
    Group {
        fate: Fate::Ignored,
        why: "leadership goes back to a partition's first replica, and away from a node that stops, by itself",
        keys: "\
            auto.leader.rebalance.enable controlled.shutdown.enable controlled.shutdown.max.retries \
            controlled.shutdown.retry.backoff.ms leader.imbalance.check.interval.seconds \
            leader.imbalance.per.broker.percentage",
    },
    Group {
        fate: Fate::Ignored,
        why: "replicas are fed by their leaders, over connections of torc's own, as fast as they take it",
        keys: "\
            eligible.leader.replicas.enable num.replica.fetchers replica.fetch.backoff.ms replica.fetch.max.bytes \
            replica.fetch.min.bytes replica.fetch.response.max.bytes replica.fetch.wait.max.ms \
            replica.high.watermark.checkpoint.interval.ms replica.socket.receive.buffer.bytes replica.socket.timeout.ms \
            request.timeout.ms socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms \
            unclean.leader.election.interval.ms",
    },
    Group {
        fate: Fate::NotYet,
        why: "there is no remote storage; all records stay on this disk",
        keys: "\
            follower.fetch.last.tiered.offset.enable log.local.retention.bytes log.local.retention.ms \
            log.remote.copy.lag.bytes log.remote.copy.lag.ms remote.fetch.max.wait.ms remote.list.offsets.request.timeout.ms \
            remote.log.index.file.cache.total.size.bytes remote.log.index.file.cache.ttl.ms \
            remote.log.manager.copier.thread.pool.size remote.log.manager.copy.max.bytes.per.second \
            remote.log.manager.copy.quota.window.num remote.log.manager.copy.quota.window.size.seconds \
            remote.log.manager.expiration.thread.pool.size remote.log.manager.fetch.max.bytes.per.second \
            remote.log.manager.fetch.quota.window.num remote.log.manager.fetch.quota.window.size.seconds \
            remote.log.manager.follower.thread.pool.size remote.log.manager.task.interval.ms \
            remote.log.manager.task.retry.backoff.max.ms remote.log.manager.task.retry.backoff.ms \
            remote.log.manager.task.retry.jitter remote.log.manager.thread.pool.size \
            remote.log.metadata.custom.metadata.max.bytes remote.log.metadata.manager.class.name \
            remote.log.metadata.manager.class.path remote.log.metadata.manager.impl.prefix \
            remote.log.metadata.manager.listener.name remote.log.reader.max.pending.tasks remote.log.reader.threads \
            remote.log.storage.manager.class.name remote.log.storage.manager.class.path \
            remote.log.storage.manager.impl.prefix remote.log.storage.system.enable rsm.config.* rlmm.config.* remote.log.*",
    },
    Group {
        fate: Fate::NotYet,
        why: "no client is throttled",
        keys: "\
            alter.log.dirs.replication.quota.window.num alter.log.dirs.replication.quota.window.size.seconds \
            client.quota.callback.class controller.quota.window.num controller.quota.window.size.seconds \
            quota.consumer.default quota.producer.default quota.window.num quota.window.size.seconds \
            replication.quota.window.num replication.quota.window.size.seconds leader.replication.throttled.rate \
            follower.replication.throttled.rate replica.alter.log.dirs.io.max.bytes.per.second client.quota.callback.*",
    },
    Group {
        fate: Fate::NotYet,
        why: "connections and fetches have torc's own bounds",
        keys: "\
            fetch.max.bytes max.connection.creation.rate max.connections.per.ip \
            max.connections.per.ip.overrides max.decompressed.message.bytes max.request.partition.size.limit",
    },
    Group { fate: Fate::NotYet, why: "clients' own metrics are not taken", keys: "telemetry.max.bytes" },
    Group {
        fate: Fate::NotYet,
        why: "values are taken as they stand; one that is to be fetched from elsewhere is refused",
        keys: "config.providers config.providers.*",
    },
    Group {
        fate: Fate::Refused,
        why: "the class would be asked before topics are changed, and torc runs no Java",
        keys: "alter.config.policy.class.name create.topic.policy.class.name",
    },
    Group {
        fate: Fate::Refused,
        why: "replaced by listeners: write listeners=PLAINTEXT://HOST:PORT",
        keys: "host.name port=9092",
    },
    Group {
        fate: Fate::Refused,
        why: "replaced by advertised.listeners: write advertised.listeners=PLAINTEXT://HOST:PORT",
        keys: "advertised.host.name advertised.port",
    },
    Group {
        fate: Fate::Refused,
        why: "replaced by log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms",
        keys: "log.message.timestamp.difference.max.ms=9223372036854775807",
    },
    Group {
        fate: Fate::Only,
        why: "a record that is acknowledged is never given up: a partition that lacks most of its replicas waits for them",
        keys: "unclean.leader.election.enable=false",
    },
    Group { fate: Fate::Only, why: "topics can always be deleted", keys: "delete.topic.enable=true" },
    Group {
        fate: Fate::Refused,
        why: NO_SECURITY,
        keys: "\
            authorizer.class.name connection.failed.authentication.delay.ms=100 connections.max.reauth.ms=0 \
            delegation.token.expiry.check.interval.ms=3600000 delegation.token.expiry.time.ms=86400000 \
            delegation.token.master.key delegation.token.max.lifetime.ms=604800000 delegation.token.secret.key \
            principal.builder.class=org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder \
            sasl.client.callback.handler.class sasl.enabled.mechanisms=GSSAPI sasl.jaas.config \
            sasl.kerberos.kinit.cmd=/usr/bin/kinit sasl.kerberos.min.time.before.relogin=60000 \
            sasl.kerberos.principal.to.local.rules=DEFAULT sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter=0.05 \
            sasl.kerberos.ticket.renew.window.factor=0.8 sasl.login.callback.handler.class sasl.login.class \
            sasl.login.connect.timeout.ms sasl.login.read.timeout.ms sasl.login.refresh.buffer.seconds=300 \
            sasl.login.refresh.min.period.seconds=60 sasl.login.refresh.window.factor=0.8 \
            sasl.login.refresh.window.jitter=0.05 sasl.login.retry.backoff.max.ms=10000 sasl.login.retry.backoff.ms=100 \
            sasl.mechanism.controller.protocol=GSSAPI sasl.mechanism.inter.broker.protocol=GSSAPI \
            sasl.oauthbearer.allow.unverified.audience=false sasl.oauthbearer.allow.unverified.issuer=false \
            sasl.oauthbearer.assertion.algorithm=RS256 sasl.oauthbearer.assertion.claim.aud \
            sasl.oauthbearer.assertion.claim.exp.seconds=300 sasl.oauthbearer.assertion.claim.iss \
            sasl.oauthbearer.assertion.claim.jti.include=false sasl.oauthbearer.assertion.claim.nbf.seconds=60 \
            sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.private.key.file \
            sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.template.file \
            sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret \
            sasl.oauthbearer.clock.skew.seconds=30 sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer \
            sasl.oauthbearer.jwks.endpoint.refresh.ms=3600000 sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms=10000 \
            sasl.oauthbearer.jwks.endpoint.retry.backoff.ms=100 sasl.oauthbearer.jwks.endpoint.url \
            sasl.oauthbearer.jwt.retriever.class=org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever \
            sasl.oauthbearer.jwt.validator.class=org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator \
            sasl.oauthbearer.scope sasl.oauthbearer.scope.claim.name=scope sasl.oauthbearer.sub.claim.name=sub \
            sasl.oauthbearer.token.endpoint.url sasl.server.callback.handler.class sasl.server.max.receive.size=524288 \
            security.inter.broker.protocol=PLAINTEXT security.providers ssl.allow.dn.changes=false \
            ssl.allow.san.changes=false ssl.cipher.suites ssl.client.auth=none ssl.enabled.protocols=TLSv1.2,TLSv1.3 \
            ssl.endpoint.identification.algorithm=https ssl.engine.factory.class ssl.key.password \
            ssl.keymanager.algorithm=SunX509 ssl.keystore.certificate.chain ssl.keystore.key ssl.keystore.location \
            ssl.keystore.password ssl.keystore.type=JKS ssl.principal.mapping.rules=DEFAULT ssl.protocol=TLSv1.3 \
            ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm=PKIX ssl.truststore.certificates \
            ssl.truststore.location ssl.truststore.password ssl.truststore.type=JKS super.users \
            allow.everyone.if.no.acl.found=true strimzi.authorization.* oauth.*",
    },
];

/// Settings of topics, which do nothing in a server's file, and the server's keys for their defaults.
static TOPIC_KEYS: &[(&str, &str)] = &[
    ("cleanup.policy", "log.cleanup.policy"),
    ("delete.retention.ms", "log.cleaner.delete.retention.ms"),
    ("flush.messages", "log.flush.interval.messages"),
    ("flush.ms", "log.flush.interval.ms"),
    ("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
    ("max.message.bytes", "message.max.bytes"),
    ("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"),
    ("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"),
    ("message.timestamp.type", "log.message.timestamp.type"),
    ("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio"),
    ("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"),
    ("retention.bytes", "log.retention.bytes"),
    ("retention.ms", "log.retention.ms"),
    ("segment.bytes", "log.segment.bytes"),
    ("segment.ms", "log.roll.ms"),
];

/// The group of a key of Kafka's or of ZooKeeper's, and whether `value` is one that asks for nothing (an empty one always is).
pub fn find(name: &str, value: &str) -> Option<(&'static Group, bool)> {
    let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    let mut by_prefix = None;
    for group in KAFKA.iter().chain(ZOOKEEPER) {
        for word in group.keys.split_whitespace() {
            let (key, harmless) = word.split_once('=').unwrap_or((word, ""));
            if key == name {
                return Some((
                    group,
                    value.is_empty() || harmless.split('|').any(|harmless| harmless.eq_ignore_ascii_case(&value)),
                ));
            }
            let matches =
                key.strip_suffix('*').is_some_and(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
            // The longest prefix says the most.
            if matches && by_prefix.is_none_or(|(length, _)| length < key.len()) {
                by_prefix = Some((key.len(), group));
            }
        }
    }
    by_prefix.map(|(_, group)| (group, value.is_empty()))
}

/// `listener.name.NAME.KEY`: the listener's name and the key, which a mechanism's name may precede (`plain.sasl.jaas.config`).
pub fn of_listener(name: &str) -> Option<(&str, &str)> {
    let (listener, key) = name.strip_prefix("listener.name.")?.split_once('.')?;
    let security = ["ssl.", "sasl."].iter().filter_map(|start| key.find(&format!(".{start}")));
    Some((listener, security.min().map_or(key, |at| &key[at + 1..])))
}

/// The server's key for the default of a topic's setting.
pub fn of_topic(name: &str) -> Option<&'static str> {
    TOPIC_KEYS.iter().find(|(topic, _)| *topic == name).map(|(_, server)| *server)
}

/// The names of all keys of some groups, without those that stand for many.
pub fn names(groups: &'static [Group]) -> impl Iterator<Item = &'static str> {
    let words = groups.iter().flat_map(|group| group.keys.split_whitespace());
    words.map(|word| word.split_once('=').map_or(word, |(key, _)| key)).filter(|key| !key.ends_with('*'))
}

#[cfg(test)]
#[path = "kafka_keys_tests.rs"]
mod tests;
