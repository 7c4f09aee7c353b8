import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** The calls of harness/calls.py with the Java clients. */
final class Calls {
    private static final Duration PATIENCE = Duration.ofSeconds(5);
    private static final int TIMEOUT_MS = 15_000;
    private static final Set<String> COMPARED = new TreeSet<>(Set.of("cleanup.policy", "max.message.bytes", "retention.ms"));

    private final String bootstrap;
    private final String prefix;
    private final int node;
    private final long base;
    private final Map<String, String> wanted = new HashMap<>();
    private final Admin admin;

    Calls(String bootstrap, Path file) throws IOException {
        this.bootstrap = bootstrap;
        for (String line : Files.readAllLines(file)) {
            String[] sides = line.split("\t", -1);
            wanted.put(sides[0], sides[1]);
        }
        prefix = wanted.get("prefix") + ".";
        node = Integer.parseInt(wanted.get("node"));
        base = Long.parseLong(wanted.get("base"));
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", TIMEOUT_MS, "request.timeout.ms", 10_000));
    }

    void run() {
        plan().forEach((name, call) -> {
            long started = System.nanoTime();
            long deadline = started + PATIENCE.toNanos();
            String want = wanted.get("want." + name.split("/")[0]);
            String answer = attempt(call);
            while (want != null && !want.equals(answer) && System.nanoTime() < deadline) {
                answer = attempt(call);
            }
            System.out.println(name + "\t" + answer);
            System.err.printf("%s: %.1f s%n", name, (System.nanoTime() - started) / 1e9);
        });
        admin.close();
    }

    private static String attempt(Callable<String> call) {
        try {
            return call.call();
        } catch (Exception error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            if (cause instanceof UnsupportedVersionException) {
                return "refused";
            }
            Errors known = cause instanceof OffsetOutOfRangeException ? Errors.OFFSET_OUT_OF_RANGE : Errors.forException(cause);
            if (known != Errors.UNKNOWN_SERVER_ERROR) {
                return "error " + known.code();
            }
            cause.printStackTrace();
            return "failed with " + cause.toString().replaceAll("\\s+", " ");
        }
    }

    private Map<String, Callable<String>> plan() {
        Map<String, Callable<String>> calls = new LinkedHashMap<>();
        planCluster(calls);
        planCreation(calls);
        planDescriptions(calls);
        planSettings(calls);
        planPartitions(calls);
        planProducing(calls);
        planOffsets(calls);
        planConsuming(calls);
        planEnd(calls);
        return calls;
    }

    private void planCluster(Map<String, Callable<String>> calls) {
        calls.put("features", () -> join(admin.describeFeatures().featureMetadata().get().supportedFeatures().entrySet().stream()
                .map(f -> f.getKey() + "=" + f.getValue().minVersion() + "-" + f.getValue().maxVersion())));
        calls.put("cluster_id", () -> admin.describeCluster().clusterId().get());
        calls.put("controller", () -> "" + admin.describeCluster().controller().get().id());
        calls.put("nodes", () -> join(admin.describeCluster().nodes().get().stream().map(n -> n.id() + "=" + n.host() + ":" + n.port())));
        calls.put("cluster_operations", () -> {
            DescribeClusterResult found = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
            return operations(found.authorizedOperations().get());
        });
    }

    private void planCreation(Map<String, Callable<String>> calls) {
        calls.put("create", () -> create(topic("t", 3, 1, Map.of("retention.ms", "3600000", "max.message.bytes", "2000000"))));
        calls.put("create_result", () -> {
            CreateTopicsResult made = admin.createTopics(List.of(topic("r", 2, 1, Map.of("retention.ms", "3600000"))));
            ConfigEntry entry = made.config(prefix + "r").get().get("retention.ms");
            return "partitions=" + made.numPartitions(prefix + "r").get() + " replication=" + made.replicationFactor(prefix + "r").get()
                    + " retention.ms=" + entry.value() + "/" + source(entry.source());
        });
        calls.put("create_defaults", () -> create(new NewTopic(prefix + "d", Optional.empty(), Optional.empty())));
        calls.put("create_manual", () -> create(new NewTopic(prefix + "m", Map.of(0, List.of(node), 1, List.of(node)))));
        calls.put("create_validate", () -> {
            admin.createTopics(List.of(topic("v", 1, 1, Map.of())), new CreateTopicsOptions().validateOnly(true)).all().get();
            return "ok";
        });
        calls.put("create_duplicate", () -> create(topic("t", 3, 1, Map.of())));
        calls.put("create_bad_value", () -> create(topic("x", 1, 1, Map.of("retention.ms", "soon"))));
        calls.put("create_bad_key", () -> create(topic("x", 1, 1, Map.of("no.such.key", "1"))));
        calls.put("create_bad_partitions", () -> create(topic("x", 0, 1, Map.of())));
        calls.put("create_bad_replication", () -> create(topic("x", 1, 3, Map.of())));
        calls.put("create_bad_name", () -> create(topic("a/b", 1, 1, Map.of())));
        calls.put("create_bad_assignment", () -> create(new NewTopic(prefix + "x", Map.of(0, List.of(node + 98)))));
        calls.put("create_p", () -> create(topic("p", 4, 1, Map.of())));
    }

    private void planDescriptions(Map<String, Callable<String>> calls) {
        calls.put("list_topics", () -> join(mine(admin.listTopics().names().get())));
        calls.put("list_topics/internal", () -> join(mine(admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get())));
        calls.put("list_topics/consumer", () -> {
            try (var consumer = consumer(Map.of())) {
                return join(mine(consumer.listTopics().keySet()));
            }
        });
        calls.put("describe_topics", () -> sizes(describe("d", "m", "t").values()));
        calls.put("describe_ids", () -> sizes(admin.describeTopics(TopicCollection.ofTopicIds(ids("m", "t"))).allTopicIds().get().values()));
        calls.put("describe_partitions", () -> join(describe("p").get(prefix + "p").partitions().stream().map(Calls::placed)));
        calls.put("topic_operations", () -> {
            var options = new DescribeTopicsOptions().includeAuthorizedOperations(true);
            return operations(admin.describeTopics(List.of(prefix + "t"), options).allTopicNames().get().get(prefix + "t").authorizedOperations());
        });
        calls.put("describe_unknown", () -> sizes(describe("x").values()));
    }

    private void planSettings(Map<String, Callable<String>> calls) {
        DescribeConfigsOptions everything = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "" + node);
        calls.put("configs", () -> values(configs(resource("t"), new DescribeConfigsOptions()), COMPARED));
        calls.put("configs_synonyms", () -> join(configs(resource("t"), everything).get("max.message.bytes").synonyms().stream()
                .map(s -> s.name() + "=" + s.value() + "/" + source(s.source()))));
        calls.put("configs_documentation", () -> Objects.requireNonNullElse(configs(resource("t"), everything).get("retention.ms").documentation(), "").isEmpty() ? "no" : "yes");
        calls.put("configs_types", () -> {
            Config found = configs(resource("t"), everything);
            return join(COMPARED.stream().map(key -> key + "=" + type(found.get(key).type())));
        });
        calls.put("configs_broker", () -> values(configs(broker, everything), new TreeSet<>(Set.of("message.max.bytes", "num.partitions"))));
        calls.put("configs_broker_default", () -> values(configs(new ConfigResource(ConfigResource.Type.BROKER, ""), everything), Set.of("log.retention.ms")));
        calls.put("configs_unknown", () -> values(configs(resource("x"), everything), COMPARED));
        alteration(calls, "alter_set", "retention.ms", "7200000", AlterConfigOp.OpType.SET);
        alteration(calls, "alter_delete", "retention.ms", "", AlterConfigOp.OpType.DELETE);
        alteration(calls, "alter_append", "cleanup.policy", "delete", AlterConfigOp.OpType.APPEND);
        alteration(calls, "alter_subtract", "cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT);
        calls.put("alter_validate", () -> alter("t", "retention.ms", "1000", AlterConfigOp.OpType.SET, true));
        calls.put("alter_bad_value", () -> alter("t", "retention.ms", "soon", AlterConfigOp.OpType.SET, false));
        calls.put("alter_bad_key", () -> alter("t", "no.such.key", "1", AlterConfigOp.OpType.SET, false));
        calls.put("alter_unknown", () -> alter("x", "retention.ms", "1000", AlterConfigOp.OpType.SET, false));
    }

    private void alteration(Map<String, Callable<String>> calls, String name, String key, String value, AlterConfigOp.OpType operation) {
        calls.put(name, () -> alter("t", key, value, operation, false));
        calls.put(name + "_done", () -> values(configs(resource("t"), new DescribeConfigsOptions()), COMPARED));
    }

    private void planPartitions(Map<String, Callable<String>> calls) {
        calls.put("partitions_validate", () -> partitions("m", NewPartitions.increaseTo(3), true));
        calls.put("partitions", () -> partitions("m", NewPartitions.increaseTo(4), false));
        calls.put("partitions_manual", () -> partitions("m", NewPartitions.increaseTo(5, List.of(List.of(node))), false));
        calls.put("partitions_done", () -> sizes(describe("m").values()));
        calls.put("partitions_fewer", () -> partitions("m", NewPartitions.increaseTo(2), false));
        calls.put("partitions_bad_assignment", () -> partitions("m", NewPartitions.increaseTo(6, List.of(List.of(node + 98))), false));
        calls.put("partitions_unknown", () -> partitions("x", NewPartitions.increaseTo(2), false));
    }

    private void planProducing(Map<String, Callable<String>> calls) {
        Map<String, Object> plain = Map.of("enable.idempotence", false);
        Map<String, Object> idempotent = Map.of("enable.idempotence", true);
        List<byte[]> three = Stream.of("a", "b", "c").map(Calls::bytes).toList();
        calls.put("produce_leader", () -> produce("p", 0, three, i -> null, Map.of("acks", "1", "enable.idempotence", false)));
        calls.put("produce_all", () -> produce("p", 0, three, i -> null, plain));
        calls.put("produce_idempotent", () -> produce("p", 0, three, i -> null, idempotent));
        List<byte[]> timed = IntStream.range(0, 10).mapToObj(i -> bytes("v" + i)).toList();
        calls.put("produce_times", () -> produce("p", 1, timed, i -> base + (i == 7 ? 99_000L : 1000L * i), plain));
        calls.put("produce_codecs", () -> codecs(plain));
        calls.put("produce_codecs_idempotent", () -> codecs(idempotent));
        calls.put("produce_none", () -> produce("p", 3, three, i -> null, Map.of("acks", "0", "enable.idempotence", false)).replace("-1", "ok"));
        calls.put("produce_none_done", () -> "" + offset("p", 3, OffsetSpec.latest()).offset());
        calls.put("produce_large", () -> produce("p", 0, List.of(new byte[3_000_000]), i -> null, Map.of("max.request.size", 4_000_000)));
        calls.put("produce_future", () -> produce("p", 0, List.of(bytes("a")), i -> base + 86_400_000, plain));
        calls.put("auto_create", () -> {
            if (!admin.listTopics().names().get().contains(prefix + "a")) {
                produce("a", 0, List.of(bytes("first")), i -> null, plain);
            }
            return "" + offset("a", 0, OffsetSpec.earliest()).offset();
        });
    }

    private void planOffsets(Map<String, Callable<String>> calls) {
        offsetCall(calls, "offset_earliest", OffsetSpec.earliest());
        offsetCall(calls, "offset_latest", OffsetSpec.latest());
        calls.put("offset_committed", () -> "" + admin.listOffsets(Map.of(p(1), OffsetSpec.latest()), new ListOffsetsOptions(IsolationLevel.READ_COMMITTED))
                .partitionResult(p(1)).get().offset());
        offsetCall(calls, "offset_time", OffsetSpec.forTimestamp(base + 3500));
        calls.put("offset_time/consumer", () -> {
            try (var consumer = consumer(Map.of())) {
                return "" + consumer.offsetsForTimes(Map.of(p(1), base + 3500)).get(p(1)).offset();
            }
        });
        calls.put("offset_time_found", () -> "" + offset("p", 1, OffsetSpec.forTimestamp(base + 3500)).timestamp());
        offsetCall(calls, "offset_time_late", OffsetSpec.forTimestamp(base + 1_000_000));
        calls.put("offset_time_late/consumer", () -> {
            try (var consumer = consumer(Map.of())) {
                return consumer.offsetsForTimes(Map.of(p(1), base + 1_000_000)).get(p(1)) == null ? "-1" : "found";
            }
        });
        offsetCall(calls, "offset_largest", OffsetSpec.maxTimestamp());
        offsetCall(calls, "offset_earliest_local", OffsetSpec.earliestLocal());
        offsetCall(calls, "offset_latest_tiered", OffsetSpec.latestTiered());
        offsetCall(calls, "offset_pending_upload", OffsetSpec.earliestPendingUpload());
        calls.put("offset_unknown", () -> "" + offset("x", 0, OffsetSpec.latest()).offset());
    }

    private void offsetCall(Map<String, Callable<String>> calls, String name, OffsetSpec spec) {
        calls.put(name, () -> "" + offset("p", 1, spec).offset());
    }

    private void planConsuming(Map<String, Callable<String>> calls) {
        calls.put("partitions_of", () -> {
            try (var consumer = consumer(Map.of())) {
                return join(consumer.partitionsFor(prefix + "p").stream().map(p -> "" + p.partition()).sorted());
            }
        });
        calls.put("consume", () -> consume(c -> c.seekToBeginning(Set.of(p(1))), 10, Map.of()));
        calls.put("consume_seek", () -> consume(c -> c.seek(p(1), 5), 5, Map.of()));
        calls.put("consume_time", () -> consume(c -> c.seek(p(1), c.offsetsForTimes(Map.of(p(1), base + 3500)).get(p(1)).offset()), 6, Map.of()));
        calls.put("consume_position", () -> {
            try (var consumer = consumer(Map.of())) {
                consumer.assign(Set.of(p(1)));
                consumer.seekToEnd(Set.of(p(1)));
                return "" + consumer.position(p(1));
            }
        });
        calls.put("consume_bounds", () -> {
            try (var consumer = consumer(Map.of())) {
                return consumer.beginningOffsets(Set.of(p(1))).get(p(1)) + " " + consumer.endOffsets(Set.of(p(1))).get(p(1));
            }
        });
        calls.put("consume_pause", this::pause);
        calls.put("consume_out_of_range", () -> consume(c -> c.seek(p(1), 1000), 1, Map.of("auto.offset.reset", "none")));
    }

    private void planEnd(Map<String, Callable<String>> calls) {
        calls.put("delete_records", () -> deleteRecords("p", 3));
        calls.put("delete_records_done", () -> "" + offset("p", 1, OffsetSpec.earliest()).offset());
        calls.put("delete_records_beyond", () -> deleteRecords("p", 1000));
        calls.put("delete_records_all", () -> deleteRecords("p", -1));
        calls.put("log_dirs", () -> {
            Collection<LogDirDescription> directories = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).values();
            long partitions = directories.stream().flatMap(d -> d.replicaInfos().keySet().stream()).filter(t -> t.topic().equals(prefix + "p")).count();
            boolean filled = directories.stream().anyMatch(d -> d.replicaInfos().containsKey(p(0)) && d.replicaInfos().get(p(0)).size() > 0);
            return directories.size() + " " + (filled ? partitions : "empty");
        });
        calls.put("groups", () -> join(mine(admin.listGroups().all().get().stream().map(g -> g.groupId()).toList())));
        calls.put("delete", () -> delete("d"));
        calls.put("delete_id", () -> {
            admin.deleteTopics(TopicCollection.ofTopicIds(ids("m"))).all().get();
            return "ok";
        });
        calls.put("delete_unknown", () -> delete("x"));
        calls.put("delete_done", () -> listed("d", "t"));
        calls.put("delete_id_done", () -> listed("m", "p"));
        calls.put("create_again", () -> create(topic("d", 1, 1, Map.of())));
        calls.put("create_again_done", () -> "" + offset("d", 0, OffsetSpec.latest()).offset());
        calls.put("cleanup", () -> delete("a", "d", "p", "r", "t"));
    }

    // Topics and settings.

    private NewTopic topic(String name, int partitions, int replicas, Map<String, String> settings) {
        return new NewTopic(prefix + name, partitions, (short) replicas).configs(settings);
    }

    private String create(NewTopic topic) throws Exception {
        admin.createTopics(List.of(topic)).all().get();
        return "ok";
    }

    private String delete(String... names) throws Exception {
        admin.deleteTopics(names(names)).all().get();
        return "ok";
    }

    private String listed(String... names) throws Exception {
        Set<String> all = admin.listTopics().names().get();
        return join(Arrays.stream(names).filter(name -> all.contains(prefix + name)));
    }

    private List<String> names(String... names) {
        return Arrays.stream(names).map(name -> prefix + name).toList();
    }

    private Map<String, TopicDescription> describe(String... names) throws Exception {
        return admin.describeTopics(names(names)).allTopicNames().get();
    }

    private List<Uuid> ids(String... names) throws Exception {
        return describe(names).values().stream().map(TopicDescription::topicId).toList();
    }

    private String sizes(Collection<TopicDescription> topics) {
        return join(topics.stream().map(t -> t.name().substring(prefix.length()) + "=" + t.partitions().size()).sorted());
    }

    private static String placed(TopicPartitionInfo p) {
        return p.partition() + "=" + p.leader().id() + "/" + join(p.replicas().stream().map(Node::idString)) + "/" + join(p.isr().stream().map(Node::idString));
    }

    private Stream<String> mine(Collection<String> names) {
        return names.stream().filter(name -> name.startsWith(prefix) && !name.equals(prefix + "r")).map(name -> name.substring(prefix.length())).sorted();
    }

    private String partitions(String name, NewPartitions wanted, boolean validateOnly) throws Exception {
        admin.createPartitions(Map.of(prefix + name, wanted), new CreatePartitionsOptions().validateOnly(validateOnly)).all().get();
        return "ok";
    }

    private ConfigResource resource(String name) {
        return new ConfigResource(ConfigResource.Type.TOPIC, prefix + name);
    }

    private Config configs(ConfigResource resource, DescribeConfigsOptions options) throws Exception {
        return admin.describeConfigs(List.of(resource), options).all().get().get(resource);
    }

    private static String values(Config found, Set<String> keys) {
        return join(keys.stream().map(found::get).filter(Objects::nonNull).map(entry -> entry.name() + "=" + entry.value() + "/" + source(entry.source())));
    }

    private String alter(String name, String key, String value, AlterConfigOp.OpType operation, boolean validateOnly) throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(key, value), operation);
        admin.incrementalAlterConfigs(Map.of(resource(name), List.of(change)), new AlterConfigsOptions().validateOnly(validateOnly)).all().get();
        return "ok";
    }

    // Records.

    private interface Times {
        Long of(int index);
    }

    private String produce(String name, int partition, List<byte[]> values, Times times, Map<String, Object> settings) throws Exception {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "max.block.ms", TIMEOUT_MS, "delivery.timeout.ms", TIMEOUT_MS,
                "request.timeout.ms", 10_000, "linger.ms", 20));
        all.putAll(settings);
        try (var producer = new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < values.size(); i++) {
                sent.add(producer.send(new ProducerRecord<>(prefix + name, partition, times.of(i), bytes("k" + i), values.get(i))));
            }
            List<String> offsets = new ArrayList<>();
            for (Future<RecordMetadata> future : sent) {
                offsets.add("" + future.get().offset());
            }
            return String.join(" ", offsets);
        }
    }

    private String codecs(Map<String, Object> settings) throws Exception {
        List<String> offsets = new ArrayList<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Map<String, Object> all = new HashMap<>(settings);
            all.put("compression.type", codec);
            offsets.add(produce("p", 2, List.of(bytes("some ".repeat(100)), bytes("more ".repeat(100))), i -> null, all));
        }
        return String.join(" ", offsets);
    }

    private ListOffsetsResultInfo offset(String name, int partition, OffsetSpec spec) throws Exception {
        TopicPartition of = new TopicPartition(prefix + name, partition);
        return admin.listOffsets(Map.of(of, spec)).partitionResult(of).get();
    }

    private String deleteRecords(String name, long before) throws Exception {
        TopicPartition of = new TopicPartition(prefix + name, 1);
        return "" + admin.deleteRecords(Map.of(of, RecordsToDelete.beforeOffset(before))).lowWatermarks().get(of).get().lowWatermark();
    }

    private KafkaConsumer<String, String> consumer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", TIMEOUT_MS, "allow.auto.create.topics", false));
        all.putAll(settings);
        return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }

    private interface Seek {
        void to(KafkaConsumer<String, String> consumer);
    }

    private String consume(Seek seek, int count, Map<String, Object> settings) {
        try (var consumer = consumer(settings)) {
            consumer.assign(Set.of(p(1)));
            seek.to(consumer);
            return join(take(consumer, count, TIMEOUT_MS).stream().map(ConsumerRecord::value));
        }
    }

    private String pause() {
        try (var consumer = consumer(Map.of())) {
            consumer.assign(Set.of(p(0), p(1)));
            consumer.seekToBeginning(consumer.assignment());
            consumer.pause(Set.of(p(1)));
            var whilePaused = take(consumer, 10, 2000);
            consumer.resume(Set.of(p(1)));
            long paused = whilePaused.stream().filter(r -> r.partition() == 1).count();
            return whilePaused.size() - paused + " " + paused + " " + take(consumer, 10, TIMEOUT_MS).size();
        }
    }

    /** Records, until {@code count} are there or nothing comes. */
    private static List<ConsumerRecord<String, String>> take(KafkaConsumer<String, String> consumer, int count, int idleMs) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        while (records.size() < count) {
            var more = consumer.poll(Duration.ofMillis(idleMs));
            if (more.isEmpty()) {
                break;
            }
            more.forEach(records::add);
        }
        return records;
    }

    private TopicPartition p(int partition) {
        return new TopicPartition(prefix + "p", partition);
    }

    // Words of the plan.

    private static String join(Stream<String> values) {
        return values.collect(Collectors.joining(" "));
    }

    private static String operations(Set<AclOperation> operations) {
        return join(operations.stream().map(AclOperation::code).sorted().map(code -> "" + code));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static int source(ConfigEntry.ConfigSource source) {
        return switch (source) {
            case DYNAMIC_TOPIC_CONFIG -> 1;
            case DYNAMIC_BROKER_CONFIG -> 2;
            case DYNAMIC_DEFAULT_BROKER_CONFIG -> 3;
            case STATIC_BROKER_CONFIG -> 4;
            case DEFAULT_CONFIG -> 5;
            default -> 0;
        };
    }

    private static int type(ConfigEntry.ConfigType type) {
        return switch (type) {
            case BOOLEAN -> 1;
            case STRING -> 2;
            case INT -> 3;
            case LONG -> 5;
            case LIST -> 7;
            default -> 0;
        };
    }
}
