import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** The Java consumer as a member of a group, as harness/members.py describes it. */
final class Member implements ConsumerRebalanceListener {
    private static final Duration POLL = Duration.ofMillis(100);
    private static final Map<String, String> ASSIGNORS = Map.of(
            "range", "org.apache.kafka.clients.consumer.RangeAssignor",
            "cooperative", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private final Queue<String[]> orders = new ConcurrentLinkedQueue<>();
    private final Set<TopicPartition> owned = new HashSet<>();
    private final String topic;
    private final String mode;
    private final KafkaConsumer<String, String> consumer;

    Member(String bootstrap, Path path) throws IOException {
        Map<String, String> plan = Files.readAllLines(path).stream().map(line -> line.split("\t", -1)).collect(Collectors.toMap(f -> f[0], f -> f[1]));
        topic = plan.get("topic");
        mode = plan.get("commit");
        Map<String, Object> settings = new HashMap<>(Map.of(
                "bootstrap.servers", bootstrap, "group.id", plan.get("group"), "group.protocol", plan.get("protocol"),
                "auto.offset.reset", "earliest", "enable.auto.commit", mode.equals("auto"), "auto.commit.interval.ms", 200,
                "reconnect.backoff.max.ms", 500, "fetch.max.wait.ms", 100));
        if (plan.get("protocol").equals("classic")) {
            settings.putAll(Map.of("session.timeout.ms", 6000, "heartbeat.interval.ms", 500,
                    "partition.assignment.strategy", ASSIGNORS.get(plan.get("assignor"))));
        }
        if (!plan.get("instance").isEmpty()) {
            settings.put("group.instance.id", plan.get("instance"));
        }
        consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    /** Polls and obeys orders until it is told to leave. */
    void run() {
        Thread reader = new Thread(this::readOrders);
        reader.setDaemon(true);
        reader.start();
        consumer.subscribe(List.of(topic), this);
        while (true) {
            for (String[] order = orders.poll(); order != null; order = orders.poll()) {
                if (order[0].equals("leave")) {
                    consumer.close();
                    return;
                }
                attempt("failed", order);
            }
            var records = poll();
            StringBuilder told = new StringBuilder();
            for (ConsumerRecord<String, String> r : records) {
                told.append("record\t").append(r.partition()).append('\t').append(r.offset()).append('\t').append(r.value()).append('\n');
            }
            System.out.print(told);
            System.out.flush();
            if (!records.isEmpty() && (mode.equals("sync") || mode.equals("async"))) {
                attempt("uncommitted", "commit", mode);
            }
        }
    }

    private ConsumerRecords<String, String> poll() {
        try {
            return consumer.poll(POLL);
        } catch (IllegalStateException error) {
            // A race inside of kafka-clients 4.3.0, against any broker: its background thread begins to validate a position, as after
            // each change of a leader's epoch, between two looks that poll has at it. Nothing was given out, and the records come again.
            if (!String.valueOf(error.getMessage()).equals("Cannot set a new position without a valid current position")) {
                throw error;
            }
            error.printStackTrace();
            return ConsumerRecords.empty();
        }
    }

    private void readOrders() {
        try (var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                orders.add(line.split(" "));
            }
        } catch (IOException ended) {
            // as at its end
        }
        orders.add(new String[] {"leave"});
    }

    private void attempt(String failure, String... order) {
        try {
            obey(order);
        } catch (RuntimeException error) {
            error.printStackTrace();
            tell(failure, error.toString().replaceAll("\\s+", " "));
        }
    }

    private void obey(String... order) {
        int[] numbers = Arrays.stream(order).filter(word -> word.matches("\\d+")).mapToInt(Integer::parseInt).toArray();
        switch (order[0].equals("commit") ? order[1] : order[0]) {
            case "sync" -> {
                Map<TopicPartition, OffsetAndMetadata> positions = positions();
                consumer.commitSync();
                tellCommitted(positions);
            }
            case "async" -> consumer.commitAsync((positions, error) -> {
                if (error == null) {
                    tellCommitted(positions);
                } else {
                    tell("uncommitted", error.toString().replaceAll("\\s+", " "));
                }
            });
            case "hand" -> {
                var position = Map.of(partition(numbers[0]), new OffsetAndMetadata(numbers[1], "by hand"));
                consumer.commitSync(position);
                tellCommitted(position);
            }
            case "pause" -> consumer.pause(List.of(partition(numbers[0])));
            case "resume" -> consumer.resume(List.of(partition(numbers[0])));
            case "seek" -> consumer.seek(partition(numbers[0]), numbers[1]);
            default -> throw new IllegalArgumentException("no such order: " + String.join(" ", order));
        }
        if (!order[0].equals("commit")) {
            tell("done", order[0]);
        }
    }

    private Map<TopicPartition, OffsetAndMetadata> positions() {
        return consumer.assignment().stream().collect(Collectors.toMap(p -> p, p -> new OffsetAndMetadata(consumer.position(p))));
    }

    private TopicPartition partition(int number) {
        return new TopicPartition(topic, number);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> added) {
        owned.addAll(added);
        tellAssigned();
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> gone) {
        owned.removeAll(gone);
        tellAssigned();
    }

    private void tellAssigned() {
        Set<Integer> numbers = owned.stream().map(TopicPartition::partition).collect(Collectors.toCollection(TreeSet::new));
        tell("assigned", numbers.stream().map(String::valueOf).collect(Collectors.joining(" ")));
    }

    private static void tellCommitted(Map<TopicPartition, OffsetAndMetadata> positions) {
        positions.forEach((partition, position) -> tell("committed", "" + partition.partition(), "" + position.offset()));
    }

    private static void tell(String... fields) {
        System.out.println(String.join("\t", fields));
    }
}
