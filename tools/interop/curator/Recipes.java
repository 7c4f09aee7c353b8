import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.strategies.RoundRobinStrategy;
import org.apache.zookeeper.CreateMode;

/** Curator's recipes. */
final class Recipes extends Cases {
    Recipes(String hosts, String name) {
        super(hosts, name);
    }

    private static int number(byte[] data) {
        return Integer.parseInt(new String(data, UTF_8));
    }

    private static byte[] bytes(long number) {
        return Long.toString(number).getBytes(UTF_8);
    }

    @Case
    void locks() throws Exception {
        CuratorFramework setup = client();
        setup.create().creatingParentsIfNeeded().forPath(root + "/value", bytes(0));
        List<Callable<Void>> workers = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            CuratorFramework client = client();
            workers.add(() -> {
                InterProcessMutex lock = new InterProcessMutex(client, root + "/lock");
                for (int n = 0; n < 10; n++) {
                    holds(lock.acquire(PATIENCE_S, TimeUnit.SECONDS), "acquired");
                    holds(lock.acquire(PATIENCE_S, TimeUnit.SECONDS), "acquired again by the same thread");
                    int value = number(client.getData().forPath(root + "/value"));
                    client.setData().forPath(root + "/value", bytes(value + 1));
                    lock.release();
                    lock.release();
                }
                return null;
            });
        }
        together(workers);
        setup.sync().forPath(root);
        same(number(setup.getData().forPath(root + "/value")), 40);
    }

    @Case
    void readWriteLocks() throws Exception {
        CuratorFramework one = client();
        CuratorFramework two = client();
        InterProcessReadWriteLock here = new InterProcessReadWriteLock(one, root);
        InterProcessReadWriteLock there = new InterProcessReadWriteLock(two, root);
        here.readLock().acquire();
        holds(there.readLock().acquire(PATIENCE_S, TimeUnit.SECONDS), "readers share");
        holds(!there.writeLock().acquire(200, TimeUnit.MILLISECONDS), "a reader does not become a writer");
        there.readLock().release();
        here.readLock().release();
        holds(there.writeLock().acquire(PATIENCE_S, TimeUnit.SECONDS), "no reader is left");
        holds(!here.readLock().acquire(200, TimeUnit.MILLISECONDS), "a writer is alone");
        holds(there.readLock().acquire(PATIENCE_S, TimeUnit.SECONDS), "a writer reads");
        there.writeLock().release();
        holds(here.readLock().acquire(PATIENCE_S, TimeUnit.SECONDS), "the writer has become a reader");
    }

    @Case
    void semaphores() throws Exception {
        InterProcessSemaphoreV2 one = new InterProcessSemaphoreV2(client(), root, 2);
        InterProcessSemaphoreV2 two = new InterProcessSemaphoreV2(client(), root, 2);
        Lease first = one.acquire();
        Lease second = two.acquire(PATIENCE_S, TimeUnit.SECONDS);
        same(two.acquire(200, TimeUnit.MILLISECONDS), null);
        one.returnLease(first);
        Lease third = two.acquire(PATIENCE_S, TimeUnit.SECONDS);
        holds(second != null && third != null, "leases");
        same(one.getParticipantNodes().size(), 2);
    }

    @Case
    void severalLocksAtOnce() throws Exception {
        CuratorFramework one = client();
        InterProcessMultiLock all = new InterProcessMultiLock(one, List.of(root + "/a", root + "/b"));
        holds(all.acquire(PATIENCE_S, TimeUnit.SECONDS), "both");
        InterProcessMutex other = new InterProcessMutex(client(), root + "/b");
        holds(!other.acquire(200, TimeUnit.MILLISECONDS), "it is held");
        all.release();
        holds(other.acquire(PATIENCE_S, TimeUnit.SECONDS), "it is free");
    }

    @Case
    void latchesOfLeaders() throws Exception {
        List<LeaderLatch> latches = new ArrayList<>();
        List<CuratorFramework> clients = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            clients.add(client());
            latches.add(new LeaderLatch(clients.get(i), root, "candidate " + i));
            latches.get(i).start();
            int number = i;
            eventually("it is a candidate", () -> latches.get(0).getParticipants().size() == number + 1);
        }
        for (int i = 0; i < 3; i++) {
            int leader = i;
            holds(latches.get(i).await(PATIENCE_S, TimeUnit.SECONDS), "leaders follow in order");
            for (int j = i + 1; j < 3; j++) {
                holds(!latches.get(j).hasLeadership(), "two leaders");
            }
            eventually("all know the leader", () -> latches.get(2).getLeader().getId().equals("candidate " + leader));
            if (i == 1) {
                clients.get(1).close(); // without a word: its session ends
            } else {
                latches.get(i).close();
            }
        }
    }

    /** Leaders with a token that only grows: the zxid of the znode that they are leaders by. */
    @Case
    void electionWithFencing() throws Exception {
        List<Long> tokens = new CopyOnWriteArrayList<>();
        AtomicInteger leaders = new AtomicInteger();
        CountDownLatch done = new CountDownLatch(5);
        for (int i = 0; i < 5; i++) {
            CuratorFramework client = client();
            LeaderSelector selector = opened(new LeaderSelector(client, root, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework framework) throws Exception {
                    same(leaders.incrementAndGet(), 1);
                    List<String> names = framework.getChildren().forPath(root);
                    Collections.sort(names, (a, b) -> a.substring(a.length() - 10).compareTo(b.substring(b.length() - 10)));
                    tokens.add(framework.checkExists().forPath(root + "/" + names.get(0)).getCzxid());
                    leaders.decrementAndGet();
                    done.countDown();
                }
            }));
            selector.start();
        }
        holds(done.await(PATIENCE_S, TimeUnit.SECONDS), "five leaders");
        same(tokens, tokens.stream().distinct().sorted().toList());
    }

    @Case
    void barriers() throws Exception {
        DistributedBarrier barrier = new DistributedBarrier(client(), root + "/one");
        barrier.setBarrier();
        DistributedBarrier waiting = new DistributedBarrier(client(), root + "/one");
        holds(!waiting.waitOnBarrier(200, TimeUnit.MILLISECONDS), "it is set");
        barrier.removeBarrier();
        holds(waiting.waitOnBarrier(PATIENCE_S, TimeUnit.SECONDS), "it is gone");
        AtomicInteger inside = new AtomicInteger();
        List<Callable<Integer>> members = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            DistributedDoubleBarrier both = new DistributedDoubleBarrier(client(), root + "/two", 3);
            members.add(() -> {
                inside.incrementAndGet();
                holds(both.enter(PATIENCE_S, TimeUnit.SECONDS), "entered");
                int found = inside.get();
                holds(both.leave(PATIENCE_S, TimeUnit.SECONDS), "left");
                return found;
            });
        }
        same(together(members), List.of(3, 3, 3));
    }

    @Case
    void queues() throws Exception {
        SimpleDistributedQueue queue = new SimpleDistributedQueue(client(), root);
        for (int i = 0; i < 20; i++) {
            queue.offer(bytes(i));
        }
        List<Callable<List<Integer>>> consumers = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            SimpleDistributedQueue own = new SimpleDistributedQueue(client(), root);
            consumers.add(() -> {
                List<Integer> taken = new ArrayList<>();
                for (byte[] item = own.poll(); item != null; item = own.poll()) {
                    taken.add(number(item));
                }
                return taken;
            });
        }
        List<Integer> all = new ArrayList<>();
        for (List<Integer> taken : together(consumers)) {
            same(taken, taken.stream().sorted().toList());
            all.addAll(taken);
        }
        Collections.sort(all);
        same(all, java.util.stream.IntStream.range(0, 20).boxed().toList());
    }

    @Case
    void membership() throws Exception {
        List<GroupMember> members = new ArrayList<>();
        List<CuratorFramework> clients = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            clients.add(client());
            members.add(opened(new GroupMember(clients.get(i), root, "member-" + i, bytes(i))));
            members.get(i).start();
        }
        eventually("three members", () -> members.get(0).getCurrentMembers().size() == 3);
        clients.get(1).close();
        eventually("one is lost", () -> members.get(0).getCurrentMembers().keySet().equals(java.util.Set.of("member-0", "member-2")));
        same(number(members.get(0).getCurrentMembers().get("member-2")), 2);
    }

    @Case
    void counters() throws Exception {
        List<Callable<Void>> workers = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            DistributedAtomicLong counter = new DistributedAtomicLong(client(), root + "/long", new RetryNTimes(1000, 2));
            workers.add(() -> {
                for (int n = 0; n < 25; n++) {
                    holds(counter.increment().succeeded(), "incremented");
                }
                return null;
            });
        }
        together(workers);
        same(new DistributedAtomicLong(client(), root + "/long", new RetryNTimes(5, 5)).get().postValue(), 100L);
        SharedCount one = opened(new SharedCount(client(), root + "/shared", 7));
        SharedCount two = opened(new SharedCount(client(), root + "/shared", 7));
        one.start();
        two.start();
        VersionedValue<Integer> before = one.getVersionedValue();
        holds(one.trySetCount(before, 8), "set");
        eventually("the other sees it", () -> two.getCount() == 8);
        holds(two.trySetCount(two.getVersionedValue(), 9), "set by the other");
        holds(!one.trySetCount(before, 10), "a version that is gone");
    }

    @Case
    void configurationByACache() throws Exception {
        CuratorFramework writer = client();
        writer.create().creatingParentsIfNeeded().forPath(root + "/a/b", bytes(0));
        List<CuratorCache> caches = new ArrayList<>();
        List<List<Integer>> seen = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            List<Integer> versions = new CopyOnWriteArrayList<>();
            CuratorCache cache = opened(CuratorCache.build(client(), root));
            cache.listenable().addListener((type, before, now) -> {
                if (now != null && now.getPath().equals(root + "/a/b")) {
                    versions.add(number(now.getData()));
                }
            });
            cache.start();
            caches.add(cache);
            seen.add(versions);
        }
        for (int version = 1; version < 40; version++) {
            writer.setData().forPath(root + "/a/b", bytes(version));
        }
        for (List<Integer> versions : seen) {
            eventually("the newest", () -> !versions.isEmpty() && versions.get(versions.size() - 1) == 39);
            same(versions, versions.stream().distinct().sorted().toList());
        }
        writer.delete().deletingChildrenIfNeeded().forPath(root + "/a");
        for (CuratorCache cache : caches) {
            eventually("what is deleted is out", () -> cache.get(root + "/a/b").isEmpty() && cache.get(root + "/a").isEmpty());
        }
    }

    @Case
    void znodesThatComeBack() throws Exception {
        CuratorFramework client = client();
        PersistentNode node = opened(new PersistentNode(client, CreateMode.EPHEMERAL, false, root, bytes(1)));
        node.start();
        holds(node.waitForInitialCreate(PATIENCE_S, TimeUnit.SECONDS), "made");
        CuratorFramework other = client();
        long czxid = other.checkExists().forPath(root).getCzxid();
        other.delete().forPath(root);
        eventually("it is made again", () -> {
            var stat = other.checkExists().forPath(root);
            return stat != null && stat.getCzxid() > czxid;
        });
        client.close();
        eventually("it goes with the session", () -> other.checkExists().forPath(root) == null);
    }

    @Case
    void transactions() throws Exception {
        CuratorFramework client = client();
        List<CuratorTransactionResult> results = client.transaction().forOperations(
            client.transactionOp().create().forPath(root, bytes(1)),
            client.transactionOp().setData().withVersion(0).forPath(root, bytes(2)),
            client.transactionOp().check().withVersion(1).forPath(root));
        same(results.get(1).getResultStat().getVersion(), 1);
    }

    @Case
    void sequentialIds() throws Exception {
        client().create().forPath(root);
        List<Callable<List<Integer>>> drawers = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            CuratorFramework client = client();
            drawers.add(() -> {
                List<Integer> ids = new ArrayList<>();
                for (int n = 0; n < 25; n++) {
                    String path = client.create().withProtection().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath(root + "/id-");
                    ids.add(Integer.parseInt(path.substring(path.length() - 10)));
                }
                return ids;
            });
        }
        List<Integer> all = new ArrayList<>();
        for (List<Integer> ids : together(drawers)) {
            same(ids, ids.stream().sorted().toList());
            all.addAll(ids);
        }
        Collections.sort(all);
        same(all, java.util.stream.IntStream.range(0, 100).boxed().toList());
    }

    /** Services register themselves; who uses them spreads requests over those that are there. */
    @Case
    void discoveryAndLoadBalancing() throws Exception {
        List<CuratorFramework> clients = new ArrayList<>();
        for (int port = 1; port <= 3; port++) {
            CuratorFramework client = client();
            clients.add(client);
            ServiceDiscovery<Void> services = opened(ServiceDiscoveryBuilder.builder(Void.class).client(client).basePath(root)
                .thisInstance(ServiceInstance.<Void>builder().name("orders").address("127.0.0.1").port(port).build()).build());
            services.start();
        }
        ServiceDiscovery<Void> user = opened(ServiceDiscoveryBuilder.builder(Void.class).client(client()).basePath(root).build());
        user.start();
        ServiceCache<Void> cache = opened(user.serviceCacheBuilder().name("orders").build());
        cache.start();
        ServiceProvider<Void> provider = opened(user.serviceProviderBuilder().serviceName("orders").providerStrategy(new RoundRobinStrategy<>()).build());
        provider.start();
        eventually("three services", () -> provider.getAllInstances().size() == 3 && cache.getInstances().size() == 3);
        Map<Integer, Integer> asked = new TreeMap<>();
        for (int i = 0; i < 30; i++) {
            asked.merge(provider.getInstance().getPort(), 1, Integer::sum);
        }
        same(asked, Map.of(1, 10, 2, 10, 3, 10));
        clients.get(0).close();
        eventually("one is lost", () -> provider.getAllInstances().size() == 2 && cache.getInstances().size() == 2);
        Map<Integer, Boolean> left = new ConcurrentHashMap<>();
        for (int i = 0; i < 10; i++) {
            left.put(provider.getInstance().getPort(), true);
        }
        same(left.keySet(), java.util.Set.of(2, 3));
    }
}
