import java.io.BufferedReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java client. Usage: produce|consume BOOTSTRAP JOBS, calls BOOTSTRAP FILE, or group BOOTSTRAP FILE.
 * Job list, plan and digest are described in harness/plan.py and python/jobs.py.
 */
public final class Interop {
    private static final Duration IDLE_TIMEOUT = Duration.ofSeconds(20);

    /** One topic. {@code maxRequest} is 0 where the client keeps its default limit. */
    record Job(String group, String topic, String codec, int maxRequest, int[] counts, Path plan) {
        static Job parse(String line) {
            String[] f = line.split("\t");
            int[] counts = Arrays.stream(f[4].split(",")).mapToInt(Integer::parseInt).toArray();
            return new Job(f[0], f[1], f[2], Integer.parseInt(f[3]), counts, Path.of(f[5]));
        }

        ProducerRecord<byte[], byte[]> record(String line) {
            String[] f = line.split("\t", -1);
            List<Header> headers = new ArrayList<>();
            for (String pair : f[4].isEmpty() ? new String[0] : f[4].split(",")) {
                String[] sides = pair.split(":", -1);
                headers.add(new RecordHeader(new String(decode(sides[0]), StandardCharsets.UTF_8), decode(sides[1])));
            }
            return new ProducerRecord<>(topic, Integer.parseInt(f[0]), Long.parseLong(f[1]), decode(f[2]), decode(f[3]), headers);
        }
    }

    /** What has been read of one partition. */
    static final class Digest {
        int count;
        final MessageDigest contents = sha256();
        final MessageDigest timestamps = sha256();

        void add(ConsumerRecord<byte[], byte[]> r) {
            count++;
            contents.update(ByteBuffer.allocate(8).putLong(0, r.offset()));
            addBytes(r.key());
            addBytes(r.value());
            Header[] headers = r.headers().toArray();
            contents.update(ByteBuffer.allocate(4).putInt(0, headers.length));
            for (Header header : headers) {
                addBytes(header.key().getBytes(StandardCharsets.UTF_8));
                addBytes(header.value());
            }
            timestamps.update(ByteBuffer.allocate(8).putLong(0, r.timestamp()));
        }

        private void addBytes(byte[] data) {
            contents.update(ByteBuffer.allocate(4).putInt(0, data == null ? -1 : data.length));
            if (data != null) {
                contents.update(data);
            }
        }
    }

    public static void main(String[] arguments) throws IOException {
        String bootstrap = arguments[1];
        if (arguments[0].equals("calls")) {
            new Calls(bootstrap, Path.of(arguments[2])).run();
            return;
        }
        if (arguments[0].equals("group")) {
            new Member(bootstrap, Path.of(arguments[2])).run();
            return;
        }
        List<Job> jobs = Files.readAllLines(Path.of(arguments[2])).stream().map(Job::parse).toList();
        if (arguments[0].equals("produce")) {
            jobs.forEach(job -> produce(bootstrap, job));
            return;
        }
        Map<String, List<Job>> groups = new LinkedHashMap<>();
        jobs.forEach(job -> groups.computeIfAbsent(job.group(), group -> new ArrayList<>()).add(job));
        groups.values().forEach(group -> consume(bootstrap, group));
    }

    private static void produce(String bootstrap, Job job) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "compression.type", job.codec()));
        if (job.maxRequest() > 0) {
            settings.put("max.request.size", job.maxRequest());
        }
        int[] count = new int[job.counts().length];
        long[] last = new long[job.counts().length];
        Arrays.fill(last, -1);
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
                BufferedReader lines = Files.newBufferedReader(job.plan())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                sent.add(producer.send(job.record(line)));
            }
            for (Future<RecordMetadata> future : sent) {
                RecordMetadata metadata = future.get();
                count[metadata.partition()]++;
                last[metadata.partition()] = Math.max(last[metadata.partition()], metadata.offset());
            }
        } catch (Exception error) {
            fail(List.of(job), error);
        }
        for (int p = 0; p < count.length; p++) {
            System.out.println(job.topic() + "\t" + p + "\t" + count[p] + "\t" + last[p]);
        }
    }

    private static void consume(String bootstrap, List<Job> group) {
        Map<TopicPartition, Digest> digests = new HashMap<>();
        int missing = 0;
        for (Job job : group) {
            for (int p = 0; p < job.counts().length; p++) {
                digests.put(new TopicPartition(job.topic(), p), new Digest());
                missing += job.counts()[p];
            }
        }
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(digests.keySet());
            consumer.seekToBeginning(digests.keySet());
            while (missing > 0) {
                var records = consumer.poll(IDLE_TIMEOUT);
                if (records.isEmpty()) {
                    break;
                }
                records.forEach(r -> digests.get(new TopicPartition(r.topic(), r.partition())).add(r));
                missing -= records.count();
            }
        } catch (Exception error) {
            fail(group, error);
        }
        HexFormat hex = HexFormat.of();
        digests.forEach((partition, digest) -> System.out.println(String.join("\t", partition.topic(), "" + partition.partition(),
                "" + digest.count, hex.formatHex(digest.contents.digest()), hex.formatHex(digest.timestamps.digest()))));
    }

    /** Reports an error for each of the jobs; the others go on. */
    private static void fail(List<Job> jobs, Exception error) {
        error.printStackTrace();
        jobs.forEach(job -> System.out.println(job.topic() + "\terror\t" + error.toString().replaceAll("\\s+", " ")));
    }

    private static byte[] decode(String text) {
        return text.equals("-") ? null : Base64.getDecoder().decode(text);
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new AssertionError(impossible);
        }
    }
}
