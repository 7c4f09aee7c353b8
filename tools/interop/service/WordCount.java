import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Counts the words of a topic's lines into another topic, by way of a repartition topic and of a table with a changelog; then counts the words
 * of each length, from that table. Usage: WordCount BOOTSTRAP APPLICATION INPUT OUTPUT STATE_DIR [KEY=VALUE...]. Prints its states.
 */
public final class WordCount {
    public static void main(String[] arguments) throws InterruptedException {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("application.id", arguments[1]);
        settings.put("state.dir", arguments[4]);
        settings.put("default.key.serde", Serdes.String().getClass());
        settings.put("default.value.serde", Serdes.String().getClass());
        settings.put("commit.interval.ms", "200");
        settings.put("num.stream.threads", "2");
        settings.put("consumer.auto.offset.reset", "earliest");
        Arrays.stream(arguments).skip(5).map(pair -> pair.split("=", 2)).forEach(pair -> settings.put(pair[0], pair[1]));

        StreamsBuilder builder = new StreamsBuilder();
        var counts = builder.<String, String>stream(arguments[2])
                .flatMapValues(line -> Arrays.asList(line.split(" ")))
                .groupBy((key, word) -> word)
                .count(Materialized.as("counts"));
        counts.toStream().to(arguments[3], Produced.with(Serdes.String(), Serdes.Long()));
        counts.groupBy((word, count) -> new org.apache.kafka.streams.KeyValue<>("length-" + word.length(), count), Grouped.with(Serdes.String(), Serdes.Long()))
                .reduce(Long::sum, (total, old) -> total - old, Materialized.as("lengths"))
                .toStream().to(arguments[3], Produced.with(Serdes.String(), Serdes.Long()));

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        CountDownLatch closed = new CountDownLatch(1);
        streams.setStateListener((state, before) -> System.out.println(state));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            closed.countDown();
        }));
        streams.start();
        closed.await();
    }
}
