// Figures of consumer groups and of compacted topics on one server. Prints `name<tab>value` lines.
//
//	beside BOOTSTRAP groups              commits per second and their latencies, the time of rebalances, the latency from producer to group consumer
//	beside BOOTSTRAP commits             commits alone
//	beside BOOTSTRAP end-to-end          that latency alone, both protocols
//	beside BOOTSTRAP updates N           the latency of N updates to a compacted topic
//	beside BOOTSTRAP updates-compacts N  the same, and the size that the topic ends with
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	members    = 50
	partitions = 100
	records    = 1000
	recordGap  = 5 * time.Millisecond
	settled    = 60 * time.Second
)

func main() {
	bootstrap, prefix := os.Args[1], fmt.Sprintf("beside-%d", time.Now().UnixNano())
	switch os.Args[2] {
	case "groups", "commits":
		groups(bootstrap, prefix, os.Args[2] == "groups")
	case "end-to-end":
		client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
		check(err)
		defer client.Close()
		create(kadm.NewClient(client), prefix+"one", 1, nil)
		endToEnd(bootstrap, prefix, "classic")
		endToEnd(bootstrap, prefix, "consumer")
	case "updates", "updates-compacts":
		count, err := strconv.Atoi(os.Args[3])
		check(err)
		updates(bootstrap, prefix, count, os.Args[2] == "updates-compacts")
	default:
		check(fmt.Errorf("no such figures: %s", os.Args[2]))
	}
}

func groups(bootstrap, prefix string, all bool) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	check(err)
	defer client.Close()
	admin := kadm.NewClient(client)
	one := kmsg.NewOffsetCommitRequestTopic() // by name before version 10, by id since
	one.Topic, one.TopicID = prefix+"one", create(admin, prefix+"one", 1, nil)
	for _, clients := range []int{1, 64} {
		commits(bootstrap, prefix, one, clients)
	}
	if all {
		create(admin, prefix+"many", partitions, nil)
		for _, protocol := range []string{"classic", "consumer"} {
			rebalances(bootstrap, prefix, protocol)
			endToEnd(bootstrap, prefix, protocol)
		}
		_, err = admin.DeleteTopics(context.Background(), prefix+"many")
		check(err)
	}
	_, err = admin.DeleteTopics(context.Background(), prefix+"one")
	check(err)
}

// create makes a topic and waits until the server knows it: Kafka answers before its brokers have heard of what its controller made.
func create(admin *kadm.Client, topic string, count int32, settings map[string]*string) kadm.TopicID {
	made, err := admin.CreateTopic(context.Background(), count, 1, settings, topic)
	check(err)
	for deadline := time.Now().Add(settled); ; time.Sleep(20 * time.Millisecond) {
		found, err := admin.ListTopics(context.Background(), topic)
		check(err)
		if known(found[topic], made.ID, count) {
			return made.ID
		}
		if time.Now().After(deadline) {
			check(fmt.Errorf("topic %s is not known after %s", topic, settled))
		}
	}
}

// known tells whether all partitions of the topic are there, and led.
func known(topic kadm.TopicDetail, id kadm.TopicID, count int32) bool {
	if topic.Err != nil || topic.ID != id || len(topic.Partitions) != int(count) {
		return false
	}
	for _, partition := range topic.Partitions {
		if partition.Err != nil || partition.Leader < 0 {
			return false
		}
	}
	return true
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tell(name string, value float64) {
	fmt.Printf("%s\t%.3f\n", name, value)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// crowd knows who owns which partition.
type crowd struct {
	lock    sync.Mutex
	owned   map[int]map[int32]bool
	changed time.Time
}

func (c *crowd) change(member int, partitions []int32, owned bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, p := range partitions {
		if owned {
			if c.owned[member] == nil {
				c.owned[member] = map[int32]bool{}
			}
			c.owned[member][p] = true
		} else {
			delete(c.owned[member], p)
		}
	}
	c.changed = time.Now()
}

// balanced waits until each of `count` members has its share, and returns when that came about.
func (c *crowd) balanced(count int) time.Time {
	for deadline := time.Now().Add(settled); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		c.lock.Lock()
		total, owners, fair := 0, 0, true
		for _, owned := range c.owned {
			total += len(owned)
			if len(owned) > 0 {
				owners++
				fair = fair && len(owned) <= (partitions+count-1)/count
			}
		}
		changed := c.changed
		c.lock.Unlock()
		if total == partitions && owners == count && fair {
			return changed
		}
	}
	check(fmt.Errorf("not balanced after %s", settled))
	return time.Time{}
}

func (c *crowd) join(bootstrap, group, topic, protocol string, member int) *kgo.Client {
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) { c.change(member, added[topic], true) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { c.change(member, gone[topic], false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { c.change(member, gone[topic], false) }),
	}
	if protocol == "consumer" {
		options = append(options, kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	}
	client, err := kgo.NewClient(options...)
	check(err)
	return client
}

// rebalances of 50 members: all join at once, one leaves, one comes.
func rebalances(bootstrap, prefix, protocol string) {
	c := &crowd{owned: map[int]map[int32]bool{}}
	group, topic := prefix+"-"+protocol, prefix+"many"
	begin := time.Now()
	var clients []*kgo.Client
	for member := range members {
		clients = append(clients, c.join(bootstrap, group, topic, protocol, member))
	}
	tell("50 members join ms, "+protocol, milliseconds(c.balanced(members).Sub(begin)))
	time.Sleep(time.Second)
	begin = time.Now()
	clients[7].Close()
	tell("one leaves ms, "+protocol, milliseconds(c.balanced(members-1).Sub(begin)))
	time.Sleep(time.Second)
	begin = time.Now()
	clients[7] = c.join(bootstrap, group, topic, protocol, members)
	tell("one comes ms, "+protocol, milliseconds(c.balanced(members).Sub(begin)))
	var wait sync.WaitGroup
	for _, client := range clients {
		wait.Go(client.Close)
	}
	wait.Wait()
}

// endToEnd: records at an even rate, from a producer to a consumer in a group.
func endToEnd(bootstrap, prefix, protocol string) {
	c := &crowd{owned: map[int]map[int32]bool{}}
	topic := prefix + "one"
	consumer := c.join(bootstrap, prefix+"-e2e-"+protocol, topic, protocol, 0)
	defer consumer.Close()
	producer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	check(err)
	defer producer.Close()
	check(producer.ProduceSync(context.Background(), &kgo.Record{Value: []byte("first")}).FirstErr())
	consumer.PollFetches(context.Background())
	time.Sleep(time.Second)
	go func() {
		for range records {
			producer.Produce(context.Background(), &kgo.Record{Value: fmt.Appendf(nil, "%d", time.Now().UnixNano())}, func(_ *kgo.Record, err error) { check(err) })
			time.Sleep(recordGap)
		}
	}()
	var taken []time.Duration
	for len(taken) < records {
		fetched := consumer.PollFetches(context.Background())
		now := time.Now().UnixNano()
		fetched.EachRecord(func(r *kgo.Record) {
			var sent int64
			if _, err := fmt.Sscan(string(r.Value), &sent); err == nil {
				taken = append(taken, time.Duration(now-sent))
			}
		})
	}
	check(producer.Flush(context.Background())) // the last answer may come after the record
	slices.Sort(taken)
	tell("end to end p50 ms, "+protocol, milliseconds(quantile(taken, 0.5)))
	tell("end to end p99 ms, "+protocol, milliseconds(quantile(taken, 0.99)))
}
