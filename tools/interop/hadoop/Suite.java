import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs test classes; prints "case NAME" for each test as it begins, and then "ok NAME" or "failed NAME TEXT". */
final class Suite extends RunListener {
    private boolean hasFailed;

    @Override
    public void testStarted(Description test) {
        hasFailed = false;
        tell("case", name(test));
    }

    @Override
    public void testFailure(Failure failure) {
        hasFailed = true;
        tell("failed", name(failure.getDescription()), String.valueOf(failure.getException()).replaceAll("\\s+", " "));
    }

    @Override
    public void testFinished(Description test) {
        if (!hasFailed) {
            tell("ok", name(test));
        }
    }

    private static String name(Description test) {
        String of = test.getClassName();
        return of.substring(of.lastIndexOf('.') + 1) + "." + test.getMethodName();
    }

    private static synchronized void tell(String... words) {
        System.out.println(String.join("\t", words));
        System.out.flush();
    }

    public static void main(String[] classes) throws ClassNotFoundException {
        JUnitCore core = new JUnitCore();
        core.addListener(new Suite());
        for (String name : classes) {
            core.run(Request.aClass(Class.forName(name)));
        }
        System.exit(0);
    }
}
