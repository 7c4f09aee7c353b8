import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/** ZooKeeper's own Java client: every call, with its exact answers. */
final class Calls extends Cases {
    Calls(String hosts, String name) {
        super(hosts, name);
    }

    private ZooKeeper session() throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper session = opened(new ZooKeeper(hosts, 10_000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        }));
        holds(connected.await(PATIENCE_S, TimeUnit.SECONDS), "connected");
        return session;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    /** Waits for an event and tells it, without its zxid. */
    private static String next(LinkedBlockingQueue<WatchedEvent> events) throws Exception {
        WatchedEvent event = events.poll(PATIENCE_S, TimeUnit.SECONDS);
        return event == null ? "nothing" : event.getType() + " " + event.getPath();
    }

    @Case
    void createsAndStats() throws Exception {
        ZooKeeper session = session();
        Stat made = new Stat();
        same(session.create(root, bytes("one"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, made), root);
        Stat read = new Stat();
        same(session.getData(root, false, read), bytes("one"));
        same(read, made);
        Stat written = session.setData(root, bytes("two!"), 0);
        same(List.of(written.getVersion(), written.getDataLength()), List.of(1, 4));
        refused(Code.BADVERSION, () -> session.setData(root, bytes("x"), 0));
        refused(Code.NODEEXISTS, () -> session.create(root, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        refused(Code.NONODE, () -> session.create(root + "/a/b", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        refused(Code.NONODE, () -> session.delete(root + "/a", -1));
        session.create(root + "/null", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        same(session.getData(root + "/null", false, null), null);
        refused(Code.NOTEMPTY, () -> session.delete(root, -1));
        same(session.exists(root + "/none", false), null);
        same(session.exists("/", false).getCzxid(), 0L);
    }

    @Case
    void modes() throws Exception {
        ZooKeeper session = session();
        session.create(root, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        same(session.create(root + "/c", null, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER), root + "/c");
        same(session.exists(root + "/c", false).getEphemeralOwner(), 0L); // clients do not see the marks
        same(session.create(root + "/t", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 60_000), root + "/t");
        same(session.exists(root + "/t", false).getEphemeralOwner(), 0L);
        same(session.create(root + "/s", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, new Stat(), 60_000), root + "/s0000000002");
        same(session.create(root + "/s", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL), root + "/s0000000003");
        same(session.exists(root + "/s0000000003", false).getEphemeralOwner(), session.getSessionId());
        refused(Code.NOCHILDRENFOREPHEMERALS, () -> session.create(root + "/s0000000003/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        same(session.getEphemerals(root), List.of(root + "/s0000000003"));
        same(session.getAllChildrenNumber(root), 4);
    }

    @Case
    void timesToLive() throws Exception {
        ZooKeeper session = session();
        session.create(root, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 600_000);
        session.create(root + "/child", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        session.delete(root + "/child", -1);
        session.setData(root, bytes("x"), -1);
        holds(session.exists(root, false) != null, "it is there until its time is over");
    }

    @Case
    void multis() throws Exception {
        ZooKeeper session = session();
        List<OpResult> results = session.multi(List.of(
            Op.create(root, bytes("x"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create(root + "/s", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
            Op.setData(root, bytes("y"), 0),
            Op.check(root, 1),
            Op.delete(root + "/s0000000000", 0)));
        same(((OpResult.CreateResult) results.get(1)).getPath(), root + "/s0000000000");
        same(((OpResult.SetDataResult) results.get(2)).getStat().getVersion(), 1);
        try {
            session.multi(List.of(Op.setData(root, bytes("z"), -1), Op.check(root, 7), Op.delete(root, -1)));
            throw new AssertionError("not refused");
        } catch (KeeperException.BadVersionException e) {
            List<Integer> codes = e.getResults().stream().map(result -> ((OpResult.ErrorResult) result).getErr()).toList();
            same(codes, List.of(0, Code.BADVERSION.intValue(), Code.RUNTIMEINCONSISTENCY.intValue()));
        }
        same(session.getData(root, false, null), bytes("y"));
        List<OpResult> reads = session.multi(List.of(Op.getData(root), Op.getChildren(root), Op.getData(root + "/none")));
        same(((OpResult.GetDataResult) reads.get(0)).getData(), bytes("y"));
        same(((OpResult.GetChildrenResult) reads.get(1)).getChildren(), List.of());
        same(((OpResult.ErrorResult) reads.get(2)).getErr(), Code.NONODE.intValue());
    }

    @Case
    void accessLists() throws Exception {
        ZooKeeper mine = session();
        ZooKeeper stranger = session();
        mine.addAuthInfo("digest", bytes("me:pw"));
        mine.create(root, bytes("x"), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        stranger.sync(root, (code, path, context) -> { }, null);
        refused(Code.NOAUTH, () -> stranger.getData(root, false, null));
        refused(Code.NOAUTH, () -> stranger.setACL(root, Ids.OPEN_ACL_UNSAFE, -1));
        refused(Code.INVALIDACL, () -> stranger.create(root + "-other", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        refused(Code.INVALIDACL, () -> stranger.create(root + "-other", null, Arrays.asList(new ACL(31, new Id("world", "me"))), CreateMode.PERSISTENT));
        same(mine.getACL(root, null), List.of(new ACL(31, new Id("digest", "me:xlpJGzVhaayvpHfFn/RwowgwqI4="))));
        mine.setACL(root, Arrays.asList(new ACL(1, new Id("world", "anyone")), new ACL(31, new Id("digest", "me:xlpJGzVhaayvpHfFn/RwowgwqI4="))), 0);
        stranger.sync(root, (code, path, context) -> { }, null);
        same(stranger.getData(root, false, null), bytes("x"));
        same(stranger.getACL(root, null).get(1).getId().getId(), "me:x");
        List<String> schemes = mine.whoAmI().stream().map(ClientInfo::getAuthScheme).sorted().toList();
        same(schemes, List.of("digest", "ip"));
    }

    @Case
    void watchesOfAllKinds() throws Exception {
        ZooKeeper session = session();
        ZooKeeper other = session();
        LinkedBlockingQueue<WatchedEvent> once = new LinkedBlockingQueue<>();
        LinkedBlockingQueue<WatchedEvent> deep = new LinkedBlockingQueue<>();
        session.exists(root, once::add);
        session.addWatch(root, deep::add, AddWatchMode.PERSISTENT_RECURSIVE);
        other.create(root, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        same(next(once), EventType.NodeCreated + " " + root);
        session.getChildren(root, once::add);
        other.create(root + "/c", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        same(next(once), EventType.NodeChildrenChanged + " " + root);
        session.getData(root + "/c", once::add, null);
        other.setData(root + "/c", bytes("x"), -1);
        same(next(once), EventType.NodeDataChanged + " " + root + "/c");
        session.getData(root + "/c", once::add, null);
        other.delete(root + "/c", -1);
        same(next(once), EventType.NodeDeleted + " " + root + "/c");
        same(List.of(next(deep), next(deep), next(deep), next(deep)), List.of(EventType.NodeCreated + " " + root, EventType.NodeCreated + " " + root + "/c",
            EventType.NodeDataChanged + " " + root + "/c", EventType.NodeDeleted + " " + root + "/c"));
        session.removeAllWatches(root, Watcher.WatcherType.Any, false);
        same(next(deep), EventType.PersistentWatchRemoved + " " + root);
        refused(Code.NOWATCHER, () -> session.removeAllWatches(root, Watcher.WatcherType.Any, false));
        other.setData(root, bytes("y"), -1);
        session.sync(root, (code, path, context) -> { }, null);
        session.getData(root, false, null);
        same(List.of(once.size(), deep.size()), List.of(0, 0));
    }

    @Case
    void aSessionIsTakenUpAgain() throws Exception {
        ZooKeeper first = session();
        first.create(root, null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper second = opened(new ZooKeeper(hosts, 10_000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        }, first.getSessionId(), first.getSessionPasswd()));
        holds(connected.await(PATIENCE_S, TimeUnit.SECONDS), "connected");
        same(second.getSessionId(), first.getSessionId());
        same(second.exists(root, false).getEphemeralOwner(), first.getSessionId());
        second.close();
        ZooKeeper other = session();
        eventually("the znode goes with the session", () -> other.exists(root, false) == null);
    }

    @Case
    void aSessionWithAnotherPasswordIsExpired() throws Exception {
        ZooKeeper first = session();
        CountDownLatch expired = new CountDownLatch(1);
        opened(new ZooKeeper(hosts, 10_000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.Expired) {
                expired.countDown();
            }
        }, first.getSessionId(), new byte[16]));
        holds(expired.await(PATIENCE_S, TimeUnit.SECONDS), "expired");
    }

    @Case
    void manyChildren() throws Exception {
        ZooKeeper session = session();
        session.create(root, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        CountDownLatch made = new CountDownLatch(1000);
        for (int i = 0; i < 1000; i++) {
            session.create(root + "/" + i, null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL, (code, path, context, name) -> made.countDown(), null);
        }
        holds(made.await(PATIENCE_S, TimeUnit.SECONDS), "1000 creates");
        List<String> names = session.getChildren(root, false);
        Collections.sort(names);
        same(names.size(), 1000);
        session.close();
        ZooKeeper other = session();
        eventually("all go with the session", () -> other.getChildren(root, false).isEmpty());
    }
}
