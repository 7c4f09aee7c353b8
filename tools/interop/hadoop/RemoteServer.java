package org.apache.hadoop.ha;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.NoNodeException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.ZKDatabase;
import org.apache.zookeeper.server.ZooKeeperServer;

/** Does over the network what Hadoop's tests do with a server in their own process: read a znode, and end a session. */
final class RemoteServer extends ZooKeeperServer {
    /** Of super:torc: a server in the same process asks no access list. */
    static final String SUPER_HASH = "fZX1SJwPzsIaHIjaOUyvjLezAFA=";

    private final Proxy proxy;
    private final ZKDatabase database = new ZKDatabase(null) {
        @Override
        public byte[] getData(String path, Stat stat, Watcher watcher) throws NoNodeException {
            return read(path, stat);
        }
    };
    private ZooKeeper session;

    RemoteServer(Proxy proxy) {
        this.proxy = proxy;
    }

    @Override
    public ZKDatabase getZKDatabase() {
        return database;
    }

    @Override
    public void closeSession(long number) {
        proxy.closeSession(number);
    }

    private synchronized byte[] read(String path, Stat stat) throws NoNodeException {
        while (true) {
            try {
                if (session == null || !session.getState().isAlive()) {
                    session = new ZooKeeper("127.0.0.1:" + proxy.server, 30_000, event -> { });
                    session.addAuthInfo("digest", "super:torc".getBytes(StandardCharsets.UTF_8));
                }
                CountDownLatch synced = new CountDownLatch(1);
                session.sync(path, (code, name, context) -> synced.countDown(), null);
                synced.await();
                return session.getData(path, false, stat);
            } catch (NoNodeException e) {
                throw e;
            } catch (KeeperException.ConnectionLossException | KeeperException.SessionExpiredException e) {
                continue;
            } catch (KeeperException | IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
