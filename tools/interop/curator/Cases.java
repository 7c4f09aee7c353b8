import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.zookeeper.KeeperException;

/**
 * What cases have in common. A case is a method of {@link Calls} or {@link Recipes} that is named in its ALL: a line "case NAME" is
 * printed for each, then "ok NAME", or "failed NAME TEXT".
 */
abstract class Cases {
    static final int PATIENCE_S = 20;
    static final int AT_ONCE = 4;

    final String hosts;
    final String root;
    private final List<AutoCloseable> opened = new ArrayList<>();

    Cases(String hosts, String name) {
        this.hosts = hosts;
        this.root = "/curator-" + ProcessHandle.current().pid() + "-" + name;
    }

    interface Step {
        void run() throws Exception;
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    /** Closed when the case is over. */
    <T extends AutoCloseable> T opened(T thing) {
        synchronized (opened) {
            opened.add(thing);
        }
        return thing;
    }

    CuratorFramework client() throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(hosts, 10_000, 10_000, new ExponentialBackoffRetry(100, 5));
        opened(client).start();
        if (!client.blockUntilConnected(PATIENCE_S, TimeUnit.SECONDS)) {
            throw new AssertionError("no connection");
        }
        return client;
    }

    void end() {
        for (int i = opened.size() - 1; i >= 0; i--) {
            try {
                opened.get(i).close();
            } catch (Exception e) {
                // It was closed in the case.
            }
        }
    }

    static void same(Object found, Object wanted) {
        if (!Objects.deepEquals(found, wanted)) {
            throw new AssertionError(Arrays.deepToString(new Object[] {found}) + ", not " + Arrays.deepToString(new Object[] {wanted}));
        }
    }

    static void holds(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void refused(KeeperException.Code code, Step step) throws Exception {
        try {
            step.run();
        } catch (KeeperException e) {
            same(e.code(), code);
            return;
        }
        throw new AssertionError("not refused with " + code);
    }

    static void eventually(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError(what + " did not become true");
            }
            Thread.sleep(20);
        }
    }

    /** Runs all at the same time: their results in order. */
    static <T> List<T> together(List<Callable<T>> calls) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(calls.size());
        try {
            List<T> results = new ArrayList<>();
            for (Future<T> done : pool.invokeAll(calls, 3L * PATIENCE_S, TimeUnit.SECONDS)) {
                results.add(done.get());
            }
            return results;
        } finally {
            pool.shutdownNow();
        }
    }

    static synchronized void tell(String... words) {
        System.out.println(String.join("\t", words));
        System.out.flush();
    }

    interface Maker {
        Cases make(String hosts, String name);
    }

    static List<Method> methods(Class<?> of) {
        List<Method> found = new ArrayList<>(Arrays.stream(of.getDeclaredMethods()).filter(m -> m.isAnnotationPresent(Case.class)).toList());
        found.sort(Comparator.comparing(Method::getName));
        return found;
    }

    static Callable<Void> trial(Method method, Maker maker, String hosts) {
        return () -> {
            Cases cases = maker.make(hosts, method.getName());
            try {
                method.invoke(cases);
                tell("ok", method.getName());
            } catch (InvocationTargetException e) {
                Throwable cause = e.getCause();
                StackTraceElement at = Arrays.stream(cause.getStackTrace())
                    .filter(frame -> frame.getClassName().equals(method.getDeclaringClass().getName())).findFirst().orElse(null);
                tell("failed", method.getName(), (at + ": " + cause).replaceAll("\\s+", " "));
            } finally {
                cases.end();
            }
            return null;
        };
    }

    public static void main(String[] arguments) throws Exception {
        String hosts = arguments[0];
        List<Callable<Void>> trials = new ArrayList<>();
        for (Method method : methods(Calls.class)) {
            trials.add(trial(method, Calls::new, hosts));
            tell("case", method.getName());
        }
        for (Method method : methods(Recipes.class)) {
            trials.add(trial(method, Recipes::new, hosts));
            tell("case", method.getName());
        }
        ExecutorService pool = Executors.newFixedThreadPool(AT_ONCE);
        pool.invokeAll(trials);
        System.exit(0);
    }
}
