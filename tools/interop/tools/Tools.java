import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.common.utils.Exit;

/**
 * Kafka's command-line tools in one JVM. Each line of the input is a run: the tool, its input (with \n for line ends), and its arguments,
 * separated by tabs. Prints what the tool printed, errors too, then {@code exit} and its code after a tab.
 */
public final class Tools {
    private static final long TIMEOUT_MS = 60_000;
    private static final String PACKAGE = "org.apache.kafka.tools.";
    private static final Map<String, String> CLASSES = Map.ofEntries(
            Map.entry("kafka-configs", "kafka.admin.ConfigCommand"),
            Map.entry("kafka-console-consumer", PACKAGE + "consumer.ConsoleConsumer"),
            Map.entry("kafka-console-producer", PACKAGE + "ConsoleProducer"),
            Map.entry("kafka-consumer-groups", PACKAGE + "consumer.group.ConsumerGroupCommand"),
            Map.entry("kafka-get-offsets", PACKAGE + "GetOffsetShell"),
            Map.entry("kafka-groups", PACKAGE + "GroupsCommand"),
            Map.entry("kafka-topics", PACKAGE + "TopicCommand"),
            Map.entry("kafka-verifiable-consumer", PACKAGE + "VerifiableConsumer"));

    private static final Queue<Runnable> hooks = new ConcurrentLinkedQueue<>();
    private static volatile int code;
    private static volatile CountDownLatch done;

    public static void main(String[] arguments) throws IOException, InterruptedException {
        Exit.setExitProcedure(Tools::exit);
        Exit.setHaltProcedure(Tools::exit);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        PrintStream out = System.out;
        try (var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] fields = line.split("\t", -1);
                ByteArrayOutputStream printed = new ByteArrayOutputStream();
                PrintStream capture = new PrintStream(printed, true, StandardCharsets.UTF_8);
                System.setOut(capture);
                System.setErr(capture);
                System.setIn(new ByteArrayInputStream(fields[1].replace("\\n", "\n").getBytes(StandardCharsets.UTF_8)));
                done = new CountDownLatch(1);
                Thread tool = new Thread(() -> run(fields[0], Arrays.copyOfRange(fields, 2, fields.length)));
                tool.setDaemon(true);
                tool.start();
                boolean ended = done.await(TIMEOUT_MS, TimeUnit.MILLISECONDS);
                for (Runnable hook = hooks.poll(); hook != null; hook = hooks.poll()) {
                    hook.run();
                }
                String text = printed.toString(StandardCharsets.UTF_8);
                out.print(text.isEmpty() || text.endsWith("\n") ? text : text + "\n");
                out.println("exit\t" + (ended ? code : "never"));
                out.flush();
            }
        }
    }

    /** Where the JVM would end, the tool's thread waits for ever. */
    private static void exit(int status, String message) {
        code = status;
        done.countDown();
        while (true) {
            LockSupport.park();
        }
    }

    private static void run(String name, String[] arguments) {
        int status = 0;
        try {
            Class.forName(CLASSES.get(name)).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException error) {
            error.getCause().printStackTrace();
            status = 1;
        } catch (ReflectiveOperationException error) {
            throw new AssertionError(error);
        }
        exit(status, null);
    }
}
