//! ZooKeeper's keys that torc does not have, and what becomes of each: all that `zoo.cfg` may hold from ZooKeeper 3.4 to 3.9, its
//! documentation's and those that its code reads, but those in [`crate::keys::KEYS`]. Lines of servers, weights and groups of
//! servers have names of their own ([`number_of`]).
//!
//! What would weaken a promise if it were left out (whom clients and servers may be) is refused.

use crate::kafka_keys::{Fate, Group, NO_SECURITY};

/// Every group; see [`crate::kafka_keys::KAFKA`].
pub static ZOOKEEPER: &[Group] = &[
    Group { fate: Fate::Ignored, why: "torc keeps everything in one directory", keys: "dataLogDir" },
    Group {
        fate: Fate::Ignored,
        why: "torc has a log and snapshots of its own, which it makes and removes by itself",
        keys: "\
            autopurge.purgeInterval autopurge.snapRetainCount closeSessionTxn.enabled datadir.autocreate \
            db.autocreate preAllocSize serializeLastProcessedZxid.enabled snapCount snapSizeLimitInKb \
            snapshot.compression.method snapshot.trust.empty snapshotSizeFactor syncEnabled txnLogSizeLimitInKb",
    },
    Group {
        fate: Fate::Ignored,
        why: "nothing is acknowledged before it is flushed, in batches as large as there is work",
        keys: "flushDelay forceSync fsync.warningthresholdms maxBatchSize maxWriteQueuePollTime",
    },
    Group {
        fate: Fate::Ignored,
        why: "servers of torc elect their leaders and follow them in torc's own protocol",
        keys: "\
            cnxTimeout connectToLearnerMasterLimit electionAlg electionPort electionPortBindRetry fastleader.maxNotificationInterval \
            fastleader.minNotificationInterval follower.nodelay follower.skipLearnerRequestToNextProcessor forceSnapshotSync \
            forward_learner_requests_to_commit_processor_disabled ipReachableTimeout leader.ackLoggingFrequency \
            leader.closeSocketAsync leader.maxConcurrentDiffSyncs leader.maxConcurrentSnapSyncs \
            leader.maxConcurrentSnapshotTimeout leader.maxConcurrentSnapshots leader.maxTimeToWaitForEpoch leader.nodelay \
            leaderConnectDelayDuringRetryMs leaderServes learner.asyncSending learner.closeSocketAsync \
            messageTracker.BufferSize messageTracker.Enabled multiAddress.enabled multiAddress.reachabilityCheckEnabled \
            multiAddress.reachabilityCheckTimeoutMs observer.election.DelayMs observer.reconnectDelayMs \
            observer.syncEnabled observerMaster.sizeLimit observerMasterPort quorum.cnxn.threads.size quorumCnxnTimeoutMs \
            quorumListenOnAllIPs standaloneEnabled tcpKeepAlive test.allowDiscontinuousProposals testingonly.initialZxid \
            version",
    },
    Group {
        fate: Fate::Ignored,
        why: "it tunes the inside of the Java server",
        keys: "\
            bitHashCacheSize clientPortListenBacklog clientTcpKeepAlive commitLogCount commitProcessor.maxCommitBatchSize \
            commitProcessor.maxReadBatchSize commitProcessor.numWorkerThread commitProcessor.numWorkerThreads \
            commitProcessor.shutdownTimeout controllerPort fips intBufferStartingSizeBytes jmx.log4j.disable jmx.log4j.mbean \
            jute.maxbuffer.extrasize jvm.pause.info-threshold.ms jvm.pause.monitor jvm.pause.sleep.time.ms \
            jvm.pause.warn-threshold.ms maxGetChildrenResponseCacheSize maxInProcessingDeadWatchers maxResponseCacheSize \
            netty.advancedFlowControl.enabled advancedFlowControlEnabled netty.server.earlyDropSecureConnectionHandshakes \
            netty.server.outstandingHandshake.limit nio.directBufferBytes nio.numSelectorThreads nio.numWorkerThreads \
            nio.sessionlessCnxnTimeout nio.shutdownTimeout outstandingHandshake.limit request_throttler.shutdownTimeout \
            serverCnxnFactory watchManagerName watchManaggerName watcherCleanIntervalInSeconds watcherCleanThreadsNum \
            watcherCleanThreshold znode.container.maxNeverUsedIntervalMs znode.container.maxPerMinute",
    },
    Group {
        fate: Fate::Ignored,
        why: "it is read by clients, not by servers",
        keys: "\
            client.secure clientCnxnSocket disableAutoWatchReset kinit request.timeout sasl.client \
            sasl.client.canonicalize.hostname sasl.client.username sasl.clientconfig server.principal server.realm",
    },
    Group {
        fate: Fate::Ignored,
        why: "the tree always has a digest, and access lists are always asked before a change is proposed",
        keys: "digest.enabled enableEagerACLCheck emulate353TTLNodes",
    },
    Group {
        fate: Fate::Replaced("torc.metrics.listen"),
        why: "metrics are served over HTTP in Prometheus' format",
        keys: "\
            metricsProvider.className metricsProvider.exportJvmInfo metricsProvider.httpHost metricsProvider.httpPort \
            metricsProvider.maxQueueSize metricsProvider.numWorkerThreads \
            metricsProvider.workerShutdownTimeoutMs pathStats.delay pathStats.enabled pathStats.initialDelay \
            pathStats.maxDepth pathStats.sampleRate pathStats.slotCapacity pathStats.slotDuration pathStats.topPathMax \
            metricsProvider.*",
    },
    Group {
        fate: Fate::Replaced("max.connections"),
        why: "connections of all clients are counted together",
        keys: "maxCnxns",
    },
    Group {
        fate: Fate::Ignored,
        why: "what requests and answers may hold is bounded by memory, not by numbers",
        keys: "globalOutstandingLimit largeRequestMaxBytes largeRequestThreshold",
    },
    Group {
        fate: Fate::NotYet,
        why: "no client is throttled",
        keys: "\
            connectionDecreaseRatio connectionDropDecrease connectionDropIncrease connectionFreezeTime connectionMaxTokens \
            connectionTokenFillCount connectionTokenFillTime connection_throttle_decrease_ratio \
            connection_throttle_drop_decrease connection_throttle_drop_increase connection_throttle_fill_count \
            connection_throttle_fill_time connection_throttle_freeze_time connection_throttle_global_session_weight \
            connection_throttle_local_session_weight connection_throttle_renew_session_weight connection_throttle_tokens \
            connection_throttle_weight_enabled requestStaleConnectionCheck requestStaleLatencyCheck requestThrottleDropStale \
            requestThrottleLimit requestThrottleStallTime request_stale_connection_check request_stale_latency_check \
            request_throttle_drop_stale request_throttle_max_requests request_throttle_stall_time throttledOpWaitTime \
            throttled_op_wait_time",
    },
    Group {
        fate: Fate::NotYet,
        why: "servers are added with torc.join and taken out with torc cluster, not by clients of ZooKeeper",
        keys: "reconfigEnabled",
    },
    Group { fate: Fate::NotYet, why: "there is no log of who did what", keys: "audit.enable audit.impl.class" },
    Group {
        fate: Fate::NotYet,
        why: "commands are at /commands, in plain HTTP, and none takes a snapshot or restores one",
        keys: "\
            admin.commandURL admin.httpVersion admin.idleTimeout admin.portUnification admin.rateLimiterIntervalInMS \
            admin.restore.enabled admin.snapshot.enabled IPAuthenticationProvider.usexforwardedfor",
    },
    Group {
        fate: Fate::Only,
        why: "users are known by digests, which are SHA-1's",
        keys: "DigestAuthenticationProvider.enabled=true DigestAuthenticationProvider.digestAlg=SHA1",
    },
    Group {
        fate: Fate::Only,
        why: "torc has no observers by name: of more than five servers those with the highest numbers do not vote",
        keys: "peerType=participant",
    },
    Group {
        fate: Fate::Refused,
        why: "no file decides who leads: two servers stand still when one is lost",
        keys: "oraclePath",
    },
    Group {
        fate: Fate::Refused,
        why: NO_SECURITY,
        keys: "\
            admin.forceHttps=false admin.needClientAuth=false allowSaslFailedClients=true authProvider.* client.certReload=false \
            client.portUnification=false enforce.auth.enabled=false enforce.auth.schemes ensembleAuthName \
            jaasLoginRenew=3600000 kerberos.canonicalizeHostNames=false kerberos.minReLoginTimeMs=60000 \
            kerberos.removeHostFromPrincipal=false kerberos.removeRealmFromPrincipal=false \
            letAnySaslUserDoX portUnification=false quorum.auth.enableSasl=false quorum.auth.kerberos.servicePrincipal \
            quorum.auth.learner.saslLoginContext=QuorumLearner quorum.auth.learnerRequireSasl=false \
            quorum.auth.server.saslLoginContext=QuorumServer quorum.auth.serverRequireSasl=false requireClientAuthScheme \
            requireKerberosConfig=false sasl.serverconfig=Server SASLAuthenticationProvider.superPassword \
            secureClientPort secureClientPortAddress security.auth_to_local sessionRequireClientSASLAuth=false \
            ssl.allowReverseDnsLookup=false ssl.authProvider=x509 ssl.ciphersuites ssl.clientAuth=none \
            ssl.clientHostnameVerification=false ssl.context.supplier.class ssl.crl=false ssl.enabledProtocols \
            ssl.handshakeDetectionTimeoutMillis=5000 ssl.hostnameVerification=true|false ssl.keyStore.location \
            ssl.keyStore.password ssl.keyStore.passwordPath ssl.keyStore.type ssl.ocsp=false \
            ssl.quorum.allowReverseDnsLookup=false ssl.quorum.ciphersuites ssl.quorum.clientAuth=none \
            ssl.quorum.clientHostnameVerification=true|false ssl.quorum.context.supplier.class ssl.quorum.crl=false \
            ssl.quorum.enabledProtocols ssl.quorum.handshakeDetectionTimeoutMillis=5000 \
            ssl.quorum.hostnameVerification=true|false ssl.quorum.keyStore.location ssl.quorum.keyStore.password \
            ssl.quorum.keyStore.passwordPath ssl.quorum.keyStore.type ssl.quorum.ocsp=false ssl.quorum.protocol \
            ssl.quorum.trustStore.location ssl.quorum.trustStore.password ssl.quorum.trustStore.passwordPath \
            ssl.quorum.trustStore.type ssl.sslProvider ssl.trustStore.location ssl.trustStore.password \
            ssl.trustStore.passwordPath ssl.trustStore.type sslQuorum=false sslQuorumReloadCertFiles=false superUser \
            superUser.1 superUser.* X509AuthenticationProvider.superUser X509AuthenticationProvider.*",
    },
];

/// What stands before the number of a server.
pub const SERVER: &str = "server.";

/// True of `group.N` and `weight.N`, which make some servers count for more than others.
pub fn is_weight(name: &str) -> bool {
    number_of("group.", name).is_some() || number_of("weight.", name).is_some()
}

/// The number behind `start`, if that is all of the name: `server.3`.
pub fn number_of(start: &str, name: &str) -> Option<u32> {
    let digits = name.strip_prefix(start)?;
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
#[path = "zookeeper_keys_tests.rs"]
mod tests;
