package org.apache.curator.test;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** Stands before Curator's own class of this name on the class path: runs the torc that the property torc names, a process for each server. */
public class TestingServer implements Closeable {
    private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(30);

    /** What tests set for a server in the same process, and its key in a configuration. */
    private static final String[][] PROPERTIES = {
        {"zookeeper.extendedTypesEnabled", "extendedTypesEnabled"},
        {"znode.container.checkIntervalMs", "znode.container.checkIntervalMs"},
    };

    private final InstanceSpec spec;
    private Process process;
    private boolean isClosed;

    public TestingServer() throws Exception {
        this(true);
    }

    public TestingServer(boolean start) throws Exception {
        this(-1, null, start);
    }

    public TestingServer(int port) throws Exception {
        this(port, true);
    }

    public TestingServer(int port, boolean start) throws Exception {
        this(port, null, start);
    }

    public TestingServer(int port, File directory) throws Exception {
        this(port, directory, true);
    }

    public TestingServer(int port, File directory, boolean start) throws Exception {
        this(new InstanceSpec(directory, port, -1, -1, true, -1), start);
    }

    public TestingServer(InstanceSpec spec, boolean start) throws Exception {
        this.spec = spec;
        if (start) {
            start();
        }
    }

    public int getPort() {
        return spec.getPort();
    }

    public File getTempDirectory() {
        return spec.getDataDirectory();
    }

    public String getConnectString() {
        return spec.getHostname() + ":" + spec.getPort();
    }

    public synchronized void start() throws Exception {
        if (isClosed) {
            throw new IllegalStateException("closed");
        }
        if (process != null) {
            return;
        }
        Path directory = spec.getDataDirectory().toPath();
        Files.createDirectories(directory);
        List<String> command = new ArrayList<>(List.of(System.getProperty("torc"), "serve", "--shards", "1", "--data-dir", directory.resolve("torc").toString(),
            "--kafka", "127.0.0.1:" + freePort(), "--metrics", "none", "--zookeeper", "127.0.0.1:" + spec.getPort()));
        settings().forEach((key, value) -> command.addAll(List.of("--set", key + "=" + value)));
        process = new ProcessBuilder(command).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(new File(System.getProperty("torc.log")))).start();
        Process started = process;
        Runtime.getRuntime().addShutdownHook(new Thread(started::destroyForcibly));
        long deadline = System.nanoTime() + PATIENCE_NS;
        while (!listens()) {
            if (!process.isAlive() || System.nanoTime() > deadline) {
                throw new IOException("torc does not listen on " + spec.getPort());
            }
            Thread.sleep(20);
        }
    }

    /** What a server in the same process would have been told, by its specification or by properties of this process. */
    private Map<String, Object> settings() {
        Map<String, Object> settings = new TreeMap<>(spec.getCustomProperties());
        settings.put("torc.wal.segment.bytes", "4MiB"); // hundreds of servers are started
        settings.put("torc.zookeeper.kafka.chroot", "none"); // tests want to find the root empty
        settings.put("maxClientCnxns", Math.max(spec.getMaxClientCnxns(), 0));
        if (spec.getTickTime() > 0) {
            settings.put("tickTime", spec.getTickTime());
        }
        for (String[] names : PROPERTIES) {
            String value = System.getProperty(names[0]);
            if (value != null) {
                settings.put(names[1], value);
            }
        }
        return settings;
    }

    public synchronized void stop() throws IOException {
        if (process == null) {
            return;
        }
        process.destroy();
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new IOException("torc did not end");
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
        process = null;
    }

    public synchronized void restart() throws Exception {
        stop();
        start();
    }

    @Override
    public synchronized void close() throws IOException {
        stop();
        isClosed = true;
        if (spec.deleteDataDirectoryOnClose() && spec.getDataDirectory().exists()) {
            try (Stream<Path> files = Files.walk(spec.getDataDirectory().toPath())) {
                files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
            }
        }
    }

    private boolean listens() {
        try (Socket probe = new Socket()) {
            probe.connect(new InetSocketAddress("127.0.0.1", spec.getPort()), 1000);
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static int freePort() throws IOException {
        try (ServerSocket probe = new ServerSocket(0)) {
            return probe.getLocalPort();
        }
    }
}
