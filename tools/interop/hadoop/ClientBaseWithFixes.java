package org.apache.hadoop.ha;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.TestableZooKeeper;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZKTestCase;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;
import org.junit.After;
import org.junit.Before;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Stands before Hadoop's own class of this name on the class path: the server is the torc that the property torc names. Clients reach it
 * through a {@link Proxy}, so that a test can end sessions that it knows nothing of but the number.
 */
public abstract class ClientBaseWithFixes extends ZKTestCase {
    protected static final Logger LOG = LoggerFactory.getLogger(ClientBaseWithFixes.class);
    public static int CONNECTION_TIMEOUT = 30_000;

    private static Proxy proxy; // tests run one after the other
    protected final String hostPort;
    protected ServerCnxnFactory serverFactory; // there is none
    protected File tmpDir;
    private final int port = freePort();
    private Process process;

    protected ClientBaseWithFixes() {
        hostPort = "127.0.0.1:" + freePort();
    }

    @Before
    public void setUp() throws Exception {
        tmpDir = Files.createTempDirectory("torc-hadoop").toFile();
        startServer();
    }

    @After
    public void tearDown() throws Exception {
        stopServer();
    }

    protected void startServer() throws Exception {
        process = new ProcessBuilder(List.of(System.getProperty("torc"), "serve", "--shards", "1", "--data-dir", tmpDir + "/torc", "--kafka",
            "127.0.0.1:" + freePort(), "--metrics", "127.0.0.1:" + freePort(), "--zookeeper", "127.0.0.1:" + port, "--set", "maxClientCnxns=0", "--set", "torc.wal.segment.bytes=4MiB", "--set",
            "DigestAuthenticationProvider.superDigest=super:" + RemoteServer.SUPER_HASH))
            .redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(new File(System.getProperty("torc.log")))).start();
        Process started = process;
        Runtime.getRuntime().addShutdownHook(new Thread(started::destroyForcibly));
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(CONNECTION_TIMEOUT);
        while (!listens(port)) {
            if (!process.isAlive() || System.nanoTime() > deadline) {
                throw new IOException("torc does not listen on " + port);
            }
            Thread.sleep(20);
        }
        proxy = new Proxy(Integer.parseInt(hostPort.split(":")[1]), port);
    }

    protected void stopServer() throws Exception {
        if (process != null) {
            proxy.close();
            process.destroy();
            process.waitFor();
            process = null;
        }
    }

    /** What tests ask a server for that runs in their own process. */
    protected static ZooKeeperServer getServer(ServerCnxnFactory none) {
        return new RemoteServer(proxy);
    }

    protected TestableZooKeeper createClient() throws IOException, InterruptedException {
        CountDownLatch connected = new CountDownLatch(1);
        TestableZooKeeper client = new TestableZooKeeper(hostPort, CONNECTION_TIMEOUT, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        if (!connected.await(CONNECTION_TIMEOUT, TimeUnit.MILLISECONDS)) {
            throw new IOException("no connection to " + hostPort);
        }
        return client;
    }

    public static boolean waitForServerUp(String address, long timeout) {
        return waitFor(address, timeout, true);
    }

    public static boolean waitForServerDown(String address, long timeout) {
        return waitFor(address, timeout, false);
    }

    private static boolean waitFor(String address, long timeout, boolean isUp) {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeout);
        while (listens(Integer.parseInt(address.split(":")[1])) != isUp) {
            if (System.nanoTime() > deadline) {
                return false;
            }
            try {
                Thread.sleep(20);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return false;
            }
        }
        return true;
    }

    private static boolean listens(int port) {
        try (Socket probe = new Socket()) {
            probe.connect(new InetSocketAddress("127.0.0.1", port), 1000);
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static int freePort() {
        try (ServerSocket probe = new ServerSocket(0)) {
            return probe.getLocalPort();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
