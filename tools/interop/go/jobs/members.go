package jobs

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What members of a group keep to; see harness/members.py.
const (
	SessionTimeout     = 6 * time.Second
	HeartbeatInterval  = 500 * time.Millisecond
	AutoCommitInterval = 200 * time.Millisecond
	PollTime           = 100 * time.Millisecond
)

// Plan is what a member of a group is to do.
type Plan struct {
	Bootstrap, Group, Topic, Protocol, Assignor, Commit, Instance string
}

// Read is a record as its member tells it.
type Read struct {
	Partition int32
	Offset    int64
	Value     []byte
}

// Member is a client in a group. Poll gives what was read within PollTime. What a library lacks is answered by Lacking.
type Member interface {
	Poll() []Read
	Commit() (map[int32]int64, error)
	CommitAsync(done func(map[int32]int64, error))
	CommitByHand(partition int32, offset int64) error
	Pause(partition int32) error
	Resume(partition int32) error
	Seek(partition int32, offset int64) error
	Close() error
}

var Lacking = fmt.Errorf("not in this client's API")

var telling sync.Mutex

func tell(format string, fields ...any) {
	telling.Lock()
	defer telling.Unlock()
	fmt.Printf(format+"\n", fields...)
}

// TellAssigned tells all partitions that a member has now.
func TellAssigned(partitions []int32) {
	slices.Sort(partitions)
	tell("assigned\t%s", strings.Trim(fmt.Sprint(partitions), "[]"))
}

func tellCommitted(positions map[int32]int64) {
	for partition, offset := range positions {
		tell("committed\t%d\t%d", partition, offset)
	}
}

func tellFailed(what string, err error) {
	fmt.Fprintln(os.Stderr, what, err)
	tell("%s\t%s", what, strings.Join(strings.Fields(err.Error()), " "))
}

// runMember polls and obeys orders until it is told to leave.
func runMember(join func(*Plan) (Member, error)) error {
	values := loadValues()
	plan := &Plan{os.Args[2], values["group"], values["topic"], values["protocol"], values["assignor"], values["commit"], values["instance"]}
	orders := make(chan []string, 100)
	go readOrders(orders)
	member, err := join(plan)
	if err != nil {
		return err
	}
	for {
		select {
		case order := <-orders:
			if order[0] == "leave" {
				return member.Close()
			}
			if err := obey(member, order); err != nil {
				tellFailed("failed", err)
			}
			continue
		default:
		}
		records := member.Poll()
		if len(records) == 0 {
			continue
		}
		out := strings.Builder{}
		for _, r := range records {
			fmt.Fprintf(&out, "record\t%d\t%d\t%s\n", r.Partition, r.Offset, r.Value)
		}
		tell("%s", strings.TrimSuffix(out.String(), "\n"))
		if plan.Commit == "sync" || plan.Commit == "async" {
			if err := obey(member, []string{"commit", plan.Commit}); err != nil {
				tellFailed("uncommitted", err)
			}
		}
	}
}

func readOrders(orders chan<- []string) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		orders <- strings.Fields(lines.Text())
	}
	orders <- []string{"leave"}
}

func obey(member Member, order []string) error {
	var numbers []int64
	for _, word := range order[1:] {
		if number, err := strconv.ParseInt(word, 10, 64); err == nil {
			numbers = append(numbers, number)
		}
	}
	switch strings.Join(order[:len(order)-len(numbers)], " ") {
	case "commit sync":
		positions, err := member.Commit()
		if err != nil {
			return err
		}
		tellCommitted(positions)
		return nil
	case "commit async":
		member.CommitAsync(func(positions map[int32]int64, err error) {
			if err != nil {
				tellFailed("uncommitted", err)
				return
			}
			tellCommitted(positions)
		})
		return nil
	case "commit hand":
		if err := member.CommitByHand(int32(numbers[0]), numbers[1]); err != nil {
			return err
		}
		tellCommitted(map[int32]int64{int32(numbers[0]): numbers[1]})
		return nil
	}
	err := fmt.Errorf("no such order: %v", order)
	switch order[0] {
	case "pause":
		err = member.Pause(int32(numbers[0]))
	case "resume":
		err = member.Resume(int32(numbers[0]))
	case "seek":
		err = member.Seek(int32(numbers[0]), numbers[1])
	}
	if err == nil {
		tell("done\t%s", order[0])
	}
	return err
}
