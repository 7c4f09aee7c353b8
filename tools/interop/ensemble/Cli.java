import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.ZooKeeperMain;

/** ZooKeeper's command-line client. Runs each line of the standard input, and prints what it says, then "exit" and its exit code. */
final class Cli extends ZooKeeperMain {
    private Cli(String hosts) throws IOException, InterruptedException {
        super(new String[] {"-server", hosts, "-timeout", "30000", "-waitforconnection"});
    }

    /** Until events of what was done so far have been printed. */
    private void settle() throws InterruptedException {
        CountDownLatch synced = new CountDownLatch(1);
        zk.sync("/", (code, path, context) -> synced.countDown(), null);
        synced.await(30, TimeUnit.SECONDS);
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        System.setErr(System.out);
        Cli cli = new Cli(arguments[0]);
        cli.settle();
        System.out.println("\nexit\t0");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            cli.executeLine(line);
            cli.settle();
            System.out.println("\nexit\t" + cli.exitCode);
            System.out.flush();
        }
        System.exit(0);
    }
}
