import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.ZooKeeperMain;

/** ZooKeeper's command-line client. Runs each line of the standard input, and prints what it says, then "exit" and its exit code. */
final class Cli {
    private static final class Session extends ZooKeeperMain {
        Session(String hosts) throws IOException, InterruptedException {
            super(new String[] {"-server", hosts, "-timeout", "30000", "-waitforconnection"});
        }

        /** Ends when events of what was done so far have been printed. */
        void run(String line) throws IOException, InterruptedException {
            executeLine(line);
            CountDownLatch synced = new CountDownLatch(1);
            zk.sync("/", (code, path, context) -> synced.countDown(), null);
            synced.await(30, TimeUnit.SECONDS);
            System.out.println("\nexit\t" + exitCode);
            System.out.flush();
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        System.setErr(System.out); // before the client's classes take it
        Session session = new Session(arguments[0]);
        session.run("");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            session.run(line);
        }
        System.exit(0);
    }
}
