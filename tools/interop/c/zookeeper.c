/* ZooKeeper's C client: its calls with their exact answers, and its lock. Prints "case NAME" for all, then "ok NAME" or
 * "failed NAME TEXT". Usage: zookeeper HOSTS */

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zookeeper/zookeeper.h>

enum { PATIENCE_MS = 20000, EVENTS = 64, SESSIONS = 8, PATH = 256 };

static const char *hosts;
static char root[PATH], text[1024];
static jmp_buf wrong;
static zhandle_t *opened[SESSIONS];
static int sessions;

struct events {
    pthread_mutex_t lock;
    int count;
    int type[EVENTS];
    char path[EVENTS][PATH];
};

static struct events watched;

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

static void fail(int line, const char *format, ...)
{
    char what[900];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(text, sizeof text, "line %d: %s", line, what);
    longjmp(wrong, 1);
}

#define SAME(found, wanted) \
    do { \
        long long f = (found), w = (wanted); \
        if (f != w) \
            fail(__LINE__, "%s is %lld, not %lld", #found, f, w); \
    } while (0)

#define SAME_TEXT(found, wanted) \
    do { \
        if (strcmp((found), (wanted))) \
            fail(__LINE__, "%s is %s, not %s", #found, (found), (wanted)); \
    } while (0)

#define EVENTUALLY(condition) \
    do { \
        int left = PATIENCE_MS; \
        while (!(condition)) { \
            if ((left -= 10) < 0) \
                fail(__LINE__, "%s did not become true", #condition); \
            pause_ms(10); \
        } \
    } while (0)

static void watch(zhandle_t *session, int type, int state, const char *path, void *context)
{
    (void)session;
    (void)state;
    (void)context;
    pthread_mutex_lock(&watched.lock);
    if (type != ZOO_SESSION_EVENT && watched.count < EVENTS) {
        watched.type[watched.count] = type;
        snprintf(watched.path[watched.count], PATH, "%s", path);
        watched.count++;
    }
    pthread_mutex_unlock(&watched.lock);
}

static int count_of_events(void)
{
    pthread_mutex_lock(&watched.lock);
    int count = watched.count;
    pthread_mutex_unlock(&watched.lock);
    return count;
}

static zhandle_t *take_up(const clientid_t *id)
{
    zhandle_t *session = zookeeper_init(hosts, NULL, 10000, id, NULL, 0);
    if (!session || sessions == SESSIONS)
        fail(__LINE__, "no session");
    opened[sessions++] = session;
    EVENTUALLY(zoo_state(session) == ZOO_CONNECTED_STATE || zoo_state(session) == ZOO_EXPIRED_SESSION_STATE);
    return session;
}

static zhandle_t *begin(void)
{
    zhandle_t *session = take_up(NULL);
    SAME(zoo_state(session), ZOO_CONNECTED_STATE);
    return session;
}

static void end(zhandle_t *session)
{
    for (int i = 0; i < sessions; i++)
        if (opened[i] == session)
            opened[i] = NULL;
    zookeeper_close(session);
}

static const char *below(const char *name)
{
    static char paths[8][PATH];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH, "%s/%s", root, name);
    return path;
}

static int make(zhandle_t *session, const char *path, const char *data, int flags)
{
    return zoo_create(session, path, data, data ? (int)strlen(data) : -1, &ZOO_OPEN_ACL_UNSAFE, flags, NULL, 0);
}

static void calls_and_stats(void)
{
    zhandle_t *session = begin();
    struct Stat stat, other;
    char data[64], path[PATH];
    int length = sizeof data;
    SAME(zoo_create2(session, root, "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path, &stat), ZOK);
    SAME_TEXT(path, root);
    SAME(zoo_get(session, root, 0, data, &length, &other), ZOK);
    SAME(length, 3);
    SAME(memcmp(data, "one", 3), 0);
    SAME(other.czxid == stat.czxid && other.mzxid == stat.czxid && other.pzxid == stat.czxid, 1);
    SAME(other.version + other.cversion + other.aversion + other.numChildren + other.ephemeralOwner, 0);
    SAME(zoo_set2(session, root, "three", 5, 0, &stat), ZOK);
    SAME(stat.version, 1);
    SAME(stat.dataLength, 5);
    SAME(zoo_set(session, root, "x", 1, 0), ZBADVERSION);
    SAME(make(session, root, "x", 0), ZNODEEXISTS);
    SAME(make(session, below("a/b"), "x", 0), ZNONODE);
    SAME(zoo_exists(session, below("none"), 0, &stat), ZNONODE);
    SAME(zoo_delete(session, below("none"), -1), ZNONODE);
    SAME(make(session, below("null"), NULL, 0), ZOK);
    length = sizeof data;
    SAME(zoo_get(session, below("null"), 0, data, &length, NULL), ZOK);
    SAME(length, -1);
    SAME(zoo_delete(session, root, -1), ZNOTEMPTY);
    SAME(zoo_create(session, below("acl"), "x", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZINVALIDACL);
}

static void names_of_sequences(void)
{
    zhandle_t *session = begin();
    char path[PATH];
    SAME(make(session, root, "", 0), ZOK);
    SAME(zoo_create(session, below("s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, path, sizeof path), ZOK);
    SAME_TEXT(path, below("s-0000000000"));
    SAME(zoo_delete(session, path, -1), ZOK);
    SAME(zoo_create(session, below("e-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE | ZOO_EPHEMERAL, path, sizeof path), ZOK);
    SAME_TEXT(path, below("e-0000000001"));
}

static void ephemerals_and_sessions(void)
{
    zhandle_t *session = begin(), *other = begin();
    struct Stat stat;
    SAME(make(session, root, "x", ZOO_EPHEMERAL), ZOK);
    SAME(zoo_exists(session, root, 0, &stat), ZOK);
    SAME(stat.ephemeralOwner, zoo_client_id(session)->client_id);
    SAME(make(session, below("child"), "x", 0), ZNOCHILDRENFOREPHEMERALS);
    clientid_t id = *zoo_client_id(session);
    zhandle_t *again = take_up(&id);
    SAME(zoo_state(again), ZOO_CONNECTED_STATE);
    SAME(zoo_client_id(again)->client_id, id.client_id);
    SAME(zoo_wexists(other, root, watch, NULL, &stat), ZOK);
    end(again);
    EVENTUALLY(count_of_events() == 1);
    SAME(watched.type[0], ZOO_DELETED_EVENT);
    SAME(zoo_exists(other, root, 0, &stat), ZNONODE);
    memset(id.passwd, 0, sizeof id.passwd);
    id.client_id = zoo_client_id(other)->client_id;
    zhandle_t *stranger = take_up(&id);
    SAME(zoo_state(stranger), ZOO_EXPIRED_SESSION_STATE);
}

static void watches(void)
{
    zhandle_t *session = begin(), *other = begin();
    struct Stat stat;
    struct String_vector names;
    char data[8];
    int length = sizeof data;
    static const int wanted[] = {1, 4, 3, 2};
    SAME(zoo_wexists(session, root, watch, NULL, &stat), ZNONODE);
    SAME(make(other, root, "x", 0), ZOK);
    EVENTUALLY(count_of_events() == 1);
    SAME(zoo_wget_children(session, root, watch, NULL, &names), ZOK);
    deallocate_String_vector(&names);
    SAME(make(other, below("c"), "x", 0), ZOK);
    EVENTUALLY(count_of_events() == 2);
    SAME(zoo_wget(session, below("c"), watch, NULL, data, &length, NULL), ZOK);
    SAME(zoo_set(other, below("c"), "y", 1, -1), ZOK);
    EVENTUALLY(count_of_events() == 3);
    SAME(zoo_wexists(session, below("c"), watch, NULL, &stat), ZOK);
    SAME(zoo_delete(other, below("c"), -1), ZOK);
    EVENTUALLY(count_of_events() == 4);
    for (int i = 0; i < 4; i++)
        SAME(watched.type[i], wanted[i]);
    SAME(zoo_set(other, root, "z", 1, -1), ZOK);
    pause_ms(100);
    SAME(count_of_events(), 4);
}

static void removing_watches(void)
{
    zhandle_t *session = begin();
    struct Stat stat;
    SAME(make(session, root, "x", 0), ZOK);
    SAME(zoo_wexists(session, root, watch, NULL, &stat), ZOK);
    SAME(zoo_remove_watches(session, root, ZWATCHTYPE_DATA, watch, NULL, 0), ZOK);
    int before = count_of_events(); /* the client tells of the removal itself */
    SAME(zoo_remove_watches(session, root, ZWATCHTYPE_DATA, watch, NULL, 0), ZNOWATCHER);
    SAME(zoo_set(session, root, "y", 1, -1), ZOK);
    pause_ms(100);
    SAME(count_of_events(), before);
}

static void multis(void)
{
    zhandle_t *session = begin();
    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    char first[PATH], second[PATH];
    struct Stat stat;
    zoo_create_op_init(&ops[0], root, "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, first, sizeof first);
    char sequence[PATH], made[PATH];
    snprintf(sequence, sizeof sequence, "%s/s", root);
    zoo_create_op_init(&ops[1], sequence, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, second, sizeof second);
    zoo_set_op_init(&ops[2], root, "y", 1, 0, &stat);
    zoo_check_op_init(&ops[3], root, 1);
    SAME(zoo_multi(session, 4, ops, results), ZOK);
    SAME_TEXT(second, below("s0000000000"));
    SAME(stat.version, 1);
    snprintf(made, sizeof made, "%s", second);
    zoo_delete_op_init(&ops[0], made, -1);
    zoo_check_op_init(&ops[1], root, 9);
    zoo_delete_op_init(&ops[2], root, -1);
    SAME(zoo_multi(session, 3, ops, results), ZBADVERSION);
    SAME(results[0].err, ZOK);
    SAME(results[1].err, ZBADVERSION);
    SAME(results[2].err, ZRUNTIMEINCONSISTENCY);
    SAME(zoo_exists(session, made, 0, &stat), ZOK);
}

static void authenticated(int code, const void *data)
{
    *(volatile int *)data = code == ZOK ? 1 : -1;
}

static void access_lists(void)
{
    zhandle_t *session = begin(), *stranger = begin();
    volatile int done = 0;
    struct ACL_vector list;
    struct Stat stat;
    char data[8];
    int length = sizeof data;
    SAME(zoo_add_auth(session, "digest", "me:pw", 5, authenticated, (const void *)&done), ZOK);
    EVENTUALLY(done);
    SAME(done, 1);
    SAME(zoo_create(session, root, "x", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
    EVENTUALLY(zoo_get(stranger, root, 0, data, &length, NULL) == ZNOAUTH); // its server may lag behind
    SAME(zoo_set(stranger, root, "y", 1, -1), ZNOAUTH);
    SAME(zoo_get_acl(session, root, &list, &stat), ZOK);
    SAME(list.count, 1);
    SAME_TEXT(list.data[0].id.scheme, "digest");
    SAME_TEXT(list.data[0].id.id, "me:xlpJGzVhaayvpHfFn/RwowgwqI4=");
    deallocate_ACL_vector(&list);
    SAME(zoo_set_acl(session, root, 0, &ZOO_OPEN_ACL_UNSAFE), ZOK);
    SAME(zoo_set_acl(session, root, 0, &ZOO_OPEN_ACL_UNSAFE), ZBADVERSION);
    SAME(zoo_set(stranger, root, "y", 1, -1), ZOK);
}

static void created(int code, const char *value, const void *data)
{
    (void)value;
    if (code == ZOK)
        __atomic_add_fetch((int *)data, 1, __ATOMIC_SEQ_CST);
}

static void many_outstanding(void)
{
    zhandle_t *session = begin();
    static int done;
    struct String_vector names;
    struct Stat stat;
    done = 0;
    SAME(make(session, root, "", 0), ZOK);
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d", i);
        SAME(zoo_acreate(session, below(name), name, (int)strlen(name), &ZOO_OPEN_ACL_UNSAFE, 0, created, &done), ZOK);
    }
    EVENTUALLY(__atomic_load_n(&done, __ATOMIC_SEQ_CST) == 1000);
    SAME(zoo_get_children2(session, root, 0, &names, &stat), ZOK);
    SAME(names.count, 1000);
    SAME(stat.cversion, 1000);
    deallocate_String_vector(&names);
}

/* The lock of ZooKeeper's recipes: who has the lowest number has it, and each watches the one before. */
static int number_of(const char *name)
{
    return atoi(name + strlen(name) - 10);
}

static int before(zhandle_t *session, int own, char *found)
{
    struct String_vector names;
    int best = -1;
    SAME(zoo_get_children(session, root, 0, &names), ZOK);
    for (int i = 0; i < names.count; i++) {
        int number = number_of(names.data[i]);
        if (number < own && number > best) {
            best = number;
            snprintf(found, PATH, "%s/%s", root, names.data[i]);
        }
    }
    deallocate_String_vector(&names);
    return best >= 0;
}

static void locks(void)
{
    zhandle_t *session[3];
    char own[3][PATH], ahead[PATH];
    struct Stat stat;
    for (int i = 0; i < 3; i++) {
        session[i] = begin();
        if (i == 0)
            SAME(make(session[0], root, "", 0), ZOK);
        SAME(zoo_create(session[i], below("lock-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE | ZOO_EPHEMERAL, own[i], PATH), ZOK);
    }
    SAME(before(session[0], number_of(own[0]), ahead), 0);
    for (int i = 1; i < 3; i++) {
        SAME(before(session[i], number_of(own[i]), ahead), 1);
        SAME_TEXT(ahead, own[i - 1]);
        int events = count_of_events();
        SAME(zoo_wexists(session[i], ahead, watch, NULL, &stat), ZOK);
        if (i == 1)
            SAME(zoo_delete(session[0], own[0], -1), ZOK);
        else
            end(session[1]);
        EVENTUALLY(count_of_events() == events + 1);
        SAME(watched.type[events], ZOO_DELETED_EVENT);
        SAME(before(session[i], number_of(own[i]), ahead), 0);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"calls_and_stats", calls_and_stats},
    {"names_of_sequences", names_of_sequences},
    {"ephemerals_and_sessions", ephemerals_and_sessions},
    {"watches", watches},
    {"removing_watches", removing_watches},
    {"multis", multis},
    {"access_lists", access_lists},
    {"many_outstanding", many_outstanding},
    {"locks", locks},
};

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    hosts = arguments[1];
    setvbuf(stdout, NULL, _IOLBF, 0);
    zoo_set_debug_level(0);
    pthread_mutex_init(&watched.lock, NULL);
    const size_t all = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < all; i++)
        printf("case\t%s\n", cases[i].name);
    for (size_t i = 0; i < all; i++) {
        snprintf(root, sizeof root, "/c-%d-%s", (int)getpid(), cases[i].name);
        watched.count = 0;
        sessions = 0;
        if (setjmp(wrong)) {
            printf("failed\t%s\t%s\n", cases[i].name, text);
        } else {
            cases[i].run();
            printf("ok\t%s\n", cases[i].name);
        }
        for (int s = 0; s < sessions; s++)
            if (opened[s])
                zookeeper_close(opened[s]);
    }
    return 0;
}
