// go-zookeeper: its calls with their exact answers, and its lock. Prints "case NAME" for all, then "ok NAME" or "failed NAME TEXT".
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const patience = 20 * time.Second

var open = zk.WorldACL(zk.PermAll)

type silent struct{}

func (silent) Printf(string, ...any) {}

// A trial is what one case uses: sessions, and a directory of its own.
type trial struct {
	hosts  []string
	root   string
	opened []*zk.Conn
	cuts   []net.Conn
	guard  sync.Mutex
}

type wrong string

func fail(format string, arguments ...any) {
	line := 0
	for depth := 1; depth < 6; depth++ {
		if counter, _, found, ok := runtime.Caller(depth); ok {
			name := runtime.FuncForPC(counter).Name()
			if line = found; !strings.Contains(name, "same") && !strings.Contains(name, "must") && !strings.Contains(name, "refused") {
				break
			}
		}
	}
	panic(wrong(fmt.Sprintf("line %d: ", line) + fmt.Sprintf(format, arguments...)))
}

func same(found, wanted any) {
	if !reflect.DeepEqual(found, wanted) {
		fail("%v, not %v", found, wanted)
	}
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func refused(err, wanted error) {
	if !errors.Is(err, wanted) {
		fail("%v, not %v", err, wanted)
	}
}

func eventually(what string, holds func() bool) {
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			fail("%s did not become true", what)
		}
	}
}

func (t *trial) begin() *zk.Conn {
	dial := func(network, address string, timeout time.Duration) (net.Conn, error) {
		connection, err := net.DialTimeout(network, address, timeout)
		if err == nil {
			t.guard.Lock()
			t.cuts = append(t.cuts, connection)
			t.guard.Unlock()
		}
		return connection, err
	}
	session, events, err := zk.Connect(t.hosts, 10*time.Second, zk.WithLogger(silent{}), zk.WithDialer(dial))
	must(err)
	t.opened = append(t.opened, session)
	deadline := time.After(patience)
	for session.State() != zk.StateHasSession {
		select {
		case <-events:
		case <-deadline:
			fail("no session")
		}
	}
	return session
}

func next(events <-chan zk.Event) string {
	select {
	case event := <-events:
		return fmt.Sprintf("%v %s", event.Type, event.Path)
	case <-time.After(patience):
		return "nothing"
	}
}

func callsAndStats(t *trial) {
	session := t.begin()
	path, err := session.Create(t.root, []byte("one"), 0, open)
	must(err)
	same(path, t.root)
	data, stat, err := session.Get(t.root)
	must(err)
	same(string(data), "one")
	same([]int64{stat.Mzxid, stat.Pzxid, stat.Mtime}, []int64{stat.Czxid, stat.Czxid, stat.Ctime})
	same([]int32{stat.Version, stat.Cversion, stat.Aversion, stat.DataLength, stat.NumChildren}, []int32{0, 0, 0, 3, 0})
	written, err := session.Set(t.root, []byte("three"), 0)
	must(err)
	same([]int32{written.Version, written.DataLength}, []int32{1, 5})
	_, err = session.Set(t.root, nil, 0)
	refused(err, zk.ErrBadVersion)
	_, err = session.Create(t.root, nil, 0, open)
	refused(err, zk.ErrNodeExists)
	_, err = session.Create(t.root+"/a/b", nil, 0, open)
	refused(err, zk.ErrNoNode)
	_, err = session.Create(t.root+"/acl", nil, 0, zk.AuthACL(zk.PermAll))
	refused(err, zk.ErrInvalidACL)
	refused(session.Delete(t.root+"/none", -1), zk.ErrNoNode)
	_, _, err = session.Get(t.root + "/none")
	refused(err, zk.ErrNoNode)
	found, _, err := session.Exists(t.root + "/none")
	must(err)
	same(found, false)
	_, err = session.Create(t.root+"/child", nil, 0, open)
	must(err)
	refused(session.Delete(t.root, -1), zk.ErrNotEmpty)
	synced, err := session.Sync(t.root)
	must(err)
	same(synced, t.root)
}

func modes(t *trial) {
	session := t.begin()
	_, err := session.CreateContainer(t.root, nil, zk.FlagContainer, open)
	must(err)
	_, stat, err := session.Exists(t.root)
	must(err)
	same(stat.EphemeralOwner, int64(0)) // clients do not see the mark
	path, err := session.Create(t.root+"/s-", nil, zk.FlagSequence, open)
	must(err)
	same(path, t.root+"/s-0000000000")
	path, err = session.Create(t.root+"/e-", nil, zk.FlagSequence|zk.FlagEphemeral, open)
	must(err)
	same(path, t.root+"/e-0000000001")
	_, stat, err = session.Exists(path)
	must(err)
	same(stat.EphemeralOwner, session.SessionID())
	_, err = session.Create(path+"/x", nil, 0, open)
	refused(err, zk.ErrNoChildrenForEphemerals)
	other := t.begin()
	_, _, gone, err := other.ExistsW(path)
	must(err)
	session.Close()
	same(next(gone), "EventNodeDeleted "+path)
}

func watches(t *trial) {
	session, other := t.begin(), t.begin()
	found, _, made, err := session.ExistsW(t.root)
	must(err)
	same(found, false)
	_, err = other.Create(t.root, nil, 0, open)
	must(err)
	same(next(made), "EventNodeCreated "+t.root)
	_, _, children, err := session.ChildrenW(t.root)
	must(err)
	_, err = other.Create(t.root+"/c", nil, 0, open)
	must(err)
	same(next(children), "EventNodeChildrenChanged "+t.root)
	_, _, changed, err := session.GetW(t.root + "/c")
	must(err)
	_, err = other.Set(t.root+"/c", []byte("x"), -1)
	must(err)
	same(next(changed), "EventNodeDataChanged "+t.root+"/c")
	_, _, gone, err := session.GetW(t.root + "/c")
	must(err)
	must(other.Delete(t.root+"/c", -1))
	same(next(gone), "EventNodeDeleted "+t.root+"/c")
}

// The connection is cut: the session stays, and its watches are set again, more of them than one request takes.
func cuts(t *trial) {
	session, other := t.begin(), t.begin()
	_, err := other.Create(t.root, nil, 0, open)
	must(err)
	_, err = session.Create(t.root+"/e", nil, zk.FlagEphemeral, open)
	must(err)
	before := session.SessionID()
	var events []<-chan zk.Event
	for i := range 3000 {
		_, _, made, err := session.ExistsW(fmt.Sprintf("%s/%04d-%s", t.root, i, strings.Repeat("n", 80)))
		must(err)
		events = append(events, made)
	}
	t.guard.Lock()
	for _, connection := range t.cuts[:1] {
		connection.Close()
	}
	t.guard.Unlock()
	eventually("the session is back", func() bool {
		found, stat, err := session.Exists(t.root + "/e")
		return err == nil && found && stat.EphemeralOwner == before
	})
	same(session.SessionID(), before)
	for _, i := range []int{0, 1500, 2999} {
		path := fmt.Sprintf("%s/%04d-%s", t.root, i, strings.Repeat("n", 80))
		_, err = other.Create(path, nil, 0, open)
		must(err)
		same(next(events[i]), "EventNodeCreated "+path)
	}
}

func multis(t *trial) {
	session := t.begin()
	results, err := session.Multi(
		&zk.CreateRequest{Path: t.root, Acl: open},
		&zk.CreateRequest{Path: t.root + "/s", Acl: open, Flags: zk.FlagSequence},
		&zk.SetDataRequest{Path: t.root, Data: []byte("x"), Version: 0},
		&zk.CheckVersionRequest{Path: t.root, Version: 1})
	must(err)
	same(results[1].String, t.root+"/s0000000000")
	same(results[2].Stat.Version, int32(1))
	results, err = session.Multi(
		&zk.DeleteRequest{Path: t.root + "/s0000000000", Version: -1},
		&zk.CheckVersionRequest{Path: t.root, Version: 7},
		&zk.DeleteRequest{Path: t.root, Version: -1})
	refused(err, zk.ErrBadVersion)
	same(results[1].Error, zk.ErrBadVersion)
	children, _, err := session.Children(t.root)
	must(err)
	same(children, []string{"s0000000000"})
}

func accessLists(t *trial) {
	session, stranger := t.begin(), t.begin()
	must(session.AddAuth("digest", []byte("me:pw")))
	_, err := session.Create(t.root, nil, 0, zk.DigestACL(zk.PermAll, "me", "pw"))
	must(err)
	_, err = stranger.Sync(t.root)
	must(err)
	_, _, err = stranger.Get(t.root)
	refused(err, zk.ErrNoAuth)
	lists, stat, err := session.GetACL(t.root)
	must(err)
	same(lists, []zk.ACL{{Perms: 31, Scheme: "digest", ID: "me:xlpJGzVhaayvpHfFn/RwowgwqI4="}})
	_, err = session.SetACL(t.root, open, stat.Aversion)
	must(err)
	_, err = session.SetACL(t.root, open, stat.Aversion)
	refused(err, zk.ErrBadVersion)
	_, err = stranger.Set(t.root, []byte("x"), -1)
	must(err)
}

func locks(t *trial) {
	setup := t.begin()
	_, err := setup.Create(t.root, []byte("0"), 0, open)
	must(err)
	var workers sync.WaitGroup
	failures := make(chan any, 4)
	for range 4 {
		session := t.begin()
		workers.Add(1)
		go func() {
			defer workers.Done()
			defer func() {
				if found := recover(); found != nil {
					failures <- found
				}
			}()
			lock := zk.NewLock(session, t.root+"/lock", open)
			for range 8 {
				must(lock.Lock())
				data, stat, err := session.Get(t.root)
				must(err)
				value := 0
				fmt.Sscan(string(data), &value)
				_, err = session.Set(t.root, []byte(fmt.Sprint(value+1)), stat.Version)
				must(err)
				must(lock.Unlock())
			}
		}()
	}
	workers.Wait()
	select {
	case found := <-failures:
		panic(found)
	default:
	}
	_, err = setup.Sync(t.root)
	must(err)
	data, _, err := setup.Get(t.root)
	must(err)
	same(string(data), "32")
}

func sequentialIds(t *trial) {
	_, err := t.begin().Create(t.root, nil, 0, open)
	must(err)
	var guard sync.Mutex
	var workers sync.WaitGroup
	var ids []string
	for range 4 {
		session := t.begin()
		workers.Add(1)
		go func() {
			defer workers.Done()
			for range 50 {
				path, err := session.Create(t.root+"/", nil, zk.FlagSequence, open)
				if err != nil {
					path = err.Error()
				}
				guard.Lock()
				ids = append(ids, path)
				guard.Unlock()
			}
		}()
	}
	workers.Wait()
	sort.Strings(ids)
	for i, id := range ids {
		same(id, fmt.Sprintf("%s/%010d", t.root, i))
	}
	same(len(ids), 200)
}

var cases = []struct {
	name string
	run  func(*trial)
}{
	{"callsAndStats", callsAndStats}, {"modes", modes}, {"watches", watches}, {"cuts", cuts}, {"multis", multis}, {"accessLists", accessLists},
	{"locks", locks}, {"sequentialIds", sequentialIds},
}

func try(hosts []string, name string, run func(*trial)) {
	t := &trial{hosts: hosts, root: fmt.Sprintf("/go-%d-%s", os.Getpid(), name)}
	defer func() {
		if found := recover(); found != nil {
			fmt.Printf("failed\t%s\t%s\n", name, strings.ReplaceAll(fmt.Sprint(found), "\n", " "))
		} else {
			fmt.Printf("ok\t%s\n", name)
		}
		for _, session := range t.opened {
			session.Close()
		}
	}()
	run(t)
}

func main() {
	hosts := strings.Split(os.Args[1], ",")
	for _, one := range cases {
		fmt.Printf("case\t%s\n", one.name)
	}
	for _, one := range cases {
		try(hosts, one.name, one.run)
	}
}
