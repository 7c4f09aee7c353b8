import static org.junit.platform.engine.discovery.ClassNameFilter.excludeClassNamePatterns;
import static org.junit.platform.engine.discovery.ClassNameFilter.includeClassNamePatterns;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClasspathRoots;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectUniqueId;
import static org.junit.platform.launcher.EngineFilter.includeEngines;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs the tests of jars: Suite EXCLUDED AT_ONCE [WORD] JAR... Prints "case NAME" for each, and "ok NAME", "skipped NAME" or "failed NAME TEXT"
 * when it has ended. So many classes run at once, as most of their time is waiting; what fails then is run once more, by itself. EXCLUDED: a
 * pattern of classes; with a WORD only classes whose name has it.
 */
public final class Suite implements TestExecutionListener {
    private static final PrintStream OUT = System.out;
    private static final String PATIENCE = "240 s";

    private final Set<String> failed = new ConcurrentSkipListSet<>();
    private final boolean isLast;
    private TestPlan plan;

    private Suite(boolean isLast) {
        this.isLast = isLast;
    }

    @Override
    public void testPlanExecutionStarted(TestPlan plan) {
        this.plan = plan;
        if (!isLast) {
            plan.getRoots().stream().flatMap(root -> plan.getDescendants(root).stream()).filter(TestIdentifier::isTest).forEach(test -> tell("case", name(test)));
        }
    }

    @Override
    public void dynamicTestRegistered(TestIdentifier test) {
        if (test.isTest()) {
            tell("case", name(test));
        }
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        Stream.concat(Stream.of(test), plan.getDescendants(test).stream()).filter(TestIdentifier::isTest).forEach(one -> tell("skipped", name(one)));
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        boolean isGood = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
        if (isGood && test.isTest()) {
            tell("ok", name(test));
        } else if (result.getStatus() == TestExecutionResult.Status.ABORTED && test.isTest()) {
            tell("skipped", name(test));
        } else if (!isGood && !isLast) {
            failed.add(test.getUniqueId());
            System.err.println("to be run again: " + name(test) + ": " + text(result));
        } else if (!isGood) {
            if (!test.isTest()) {
                tell("case", name(test));
            }
            tell("failed", name(test), text(result));
            result.getThrowable().ifPresent(Throwable::printStackTrace);
        }
    }

    private static String text(TestExecutionResult result) {
        return result.getThrowable().map(String::valueOf).orElse("").replaceAll("\\s+", " ");
    }

    private static String name(TestIdentifier test) {
        TestSource source = test.getSource().orElse(null);
        if (source instanceof MethodSource method) {
            String of = method.getClassName();
            String which = test.getType().isTest() && test.getUniqueId().contains("-invocation:") ? test.getDisplayName() : "";
            return of.substring(of.lastIndexOf('.') + 1) + "." + method.getMethodName() + which;
        }
        return source instanceof ClassSource type ? type.getClassName() : test.getUniqueId();
    }

    private static synchronized void tell(String... words) {
        OUT.println(String.join("\t", words));
        OUT.flush();
    }

    private static LauncherDiscoveryRequestBuilder request() {
        return LauncherDiscoveryRequestBuilder.request().filters(includeEngines("junit-jupiter")).configurationParameter("junit.jupiter.execution.timeout.default", PATIENCE);
    }

    private static Set<String> run(LauncherDiscoveryRequest request, boolean isLast) {
        Suite suite = new Suite(isLast);
        LauncherFactory.create().execute(request, suite);
        return suite.failed;
    }

    public static void main(String[] arguments) {
        System.setOut(System.err); // what tests print
        Set<Path> jars = Arrays.stream(arguments).filter(word -> word.endsWith(".jar")).map(Path::of).collect(Collectors.toSet());
        String word = arguments.length > 2 && !arguments[2].endsWith(".jar") ? arguments[2] : "";
        Set<String> again = run(request().selectors(selectClasspathRoots(jars))
            .filters(includeClassNamePatterns(".*Test.*"), includeClassNamePatterns(".*" + word + ".*"), excludeClassNamePatterns(arguments[0]))
            .configurationParameter("junit.jupiter.execution.parallel.enabled", "true")
            .configurationParameter("junit.jupiter.execution.parallel.mode.default", "same_thread")
            .configurationParameter("junit.jupiter.execution.parallel.mode.classes.default", "concurrent")
            .configurationParameter("junit.jupiter.execution.parallel.config.strategy", "fixed")
            .configurationParameter("junit.jupiter.execution.parallel.config.fixed.parallelism", arguments[1]).build(), false);
        for (String one : again) {
            run(request().selectors(new DiscoverySelector[] {selectUniqueId(one)}).build(), true);
        }
        System.exit(0);
    }
}
