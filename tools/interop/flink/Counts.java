import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema.KafkaSinkContext;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Counts the words of a topic's lines into another topic, each count in place of the one before. Usage: Counts BOOTSTRAP INPUT OUTPUT CHECKPOINTS;
 * it goes on from the newest checkpoint that it finds there. Its group has the name of INPUT.
 */
public final class Counts {
    /** Counts how often each key came. */
    private static final class Counter extends RichMapFunction<String, Tuple2<String, Long>> {
        private static final long serialVersionUID = 1;
        private transient ValueState<Long> count;

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
        }

        @Override
        public Tuple2<String, Long> map(String word) throws IOException {
            long before = count.value() == null ? 0 : count.value();
            count.update(before + 1);
            return Tuple2.of(word, before + 1);
        }
    }

    /** A word as the key, its count as the value. */
    private static final class CountRecord implements KafkaRecordSerializationSchema<Tuple2<String, Long>> {
        private static final long serialVersionUID = 1;
        private final String topic;

        CountRecord(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(Tuple2<String, Long> count, KafkaSinkContext context, Long timestamp) {
            return new ProducerRecord<>(topic, count.f0.getBytes(), count.f1.toString().getBytes());
        }
    }

    private static Optional<Path> newestCheckpoint(Path directory) throws IOException {
        if (!Files.exists(directory)) {
            return Optional.empty();
        }
        try (var files = Files.walk(directory)) {
            return files.filter(file -> file.endsWith("_metadata")).max(Comparator.comparing(file -> file.toFile().lastModified())).map(Path::getParent);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path directory = Path.of(arguments[3]).toAbsolutePath();
        Configuration settings = new Configuration();
        settings.setString("execution.checkpointing.dir", directory.toUri().toString());
        settings.setString("execution.checkpointing.interval", "500 ms");
        settings.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        settings.setString("restart-strategy.type", "fixed-delay");
        settings.setString("restart-strategy.fixed-delay.attempts", "100");
        settings.setString("restart-strategy.fixed-delay.delay", "500 ms");
        settings.setString("taskmanager.memory.network.max", "32 mb");
        newestCheckpoint(directory).ifPresent(path -> settings.setString("execution.state-recovery.path", path.toUri().toString()));
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.createLocalEnvironment(2, settings);
        KafkaSource<String> source = KafkaSource.<String>builder()
                .setBootstrapServers(arguments[0]).setTopics(arguments[1]).setGroupId(arguments[1])
                .setStartingOffsets(OffsetsInitializer.earliest()).setValueOnlyDeserializer(new SimpleStringSchema()).build();
        KafkaSink<Tuple2<String, Long>> sink = KafkaSink.<Tuple2<String, Long>>builder()
                .setBootstrapServers(arguments[0]).setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .setRecordSerializer(new CountRecord(arguments[2]))
                .build();
        environment.fromSource(source, WatermarkStrategy.noWatermarks(), "lines")
                .flatMap((String line, Collector<String> words) -> {
                    for (String word : line.split(" ")) {
                        words.collect(word);
                    }
                }).returns(Types.STRING)
                .keyBy(word -> word)
                .map(new Counter()).returns(Types.TUPLE(Types.STRING, Types.LONG))
                .sinkTo(sink);
        environment.execute("counts");
    }
}
