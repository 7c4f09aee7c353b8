package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"torc/tools/interop/go/jobs"
)

// member hands messages from the goroutines of its claims to Poll, one by one: what a session has not handed over when it ends
// is not read.
type member struct {
	group    sarama.ConsumerGroup
	topic    string
	stop     context.CancelFunc
	finished chan struct{}
	messages chan claimed
	lock     sync.Mutex
	session  sarama.ConsumerGroupSession // of now, or nil
	owned    map[int32]bool              // by the claims that run
}

type claimed struct {
	session sarama.ConsumerGroupSession
	message *sarama.ConsumerMessage
}

func join(plan *jobs.Plan) (jobs.Member, error) {
	config := sarama.NewConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = plan.Commit == "auto"
	config.Consumer.Offsets.AutoCommit.Interval = jobs.AutoCommitInterval
	config.Consumer.Group.Session.Timeout = jobs.SessionTimeout
	config.Consumer.Group.Heartbeat.Interval = jobs.HeartbeatInterval
	config.Consumer.Group.InstanceId = plan.Instance
	strategy := sarama.NewBalanceStrategyRange()
	if plan.Assignor == "cooperative" {
		strategy = sarama.NewBalanceStrategyCooperativeSticky()
	}
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	config.Consumer.MaxWaitTime = jobs.PollTime
	config.Consumer.Return.Errors = true
	config.Metadata.Retry.Max = 20
	group, err := sarama.NewConsumerGroup([]string{plan.Bootstrap}, plan.Group, config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{group: group, topic: plan.Topic, stop: stop, finished: make(chan struct{}), messages: make(chan claimed), owned: map[int32]bool{}}
	go m.run(ctx)
	go func() {
		for err := range group.Errors() {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return m, nil
}

// run joins again after each session, which ends with each rebalance.
func (m *member) run(ctx context.Context) {
	defer close(m.finished)
	for ctx.Err() == nil {
		if err := m.group.Consume(ctx, []string{m.topic}, m); err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(jobs.PollTime)
		}
	}
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = session
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	m.own(claim.Partition(), true)
	defer m.own(claim.Partition(), false)
	for message := range claim.Messages() {
		select {
		case m.messages <- claimed{session, message}:
		case <-session.Context().Done():
			return nil
		}
	}
	return nil
}

func (m *member) own(partition int32, owned bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if owned {
		m.owned[partition] = true
	} else {
		delete(m.owned, partition)
	}
	jobs.TellAssigned(slices.Collect(maps.Keys(m.owned)))
}

func (m *member) Poll() []jobs.Read {
	var read []jobs.Read
	for deadline := time.After(jobs.PollTime); len(read) < 500; {
		select {
		case c := <-m.messages:
			read = append(read, jobs.Read{Partition: c.message.Partition, Offset: c.message.Offset, Value: c.message.Value})
			c.session.MarkMessage(c.message, "") // of a session that has ended, this goes nowhere
		case <-deadline:
			return read
		}
	}
	return read
}

// Commit returns no positions: sarama does not say whether it went well.
func (m *member) Commit() (map[int32]int64, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.session == nil {
		return nil, fmt.Errorf("no session")
	}
	m.session.Commit()
	return nil, nil
}

func (m *member) CommitAsync(done func(map[int32]int64, error)) {
	done(nil, jobs.Lacking)
}

// CommitByHand goes back with ResetOffset, forward with MarkOffset.
func (m *member) CommitByHand(partition int32, offset int64) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.session == nil {
		return fmt.Errorf("no session")
	}
	m.session.ResetOffset(m.topic, partition, offset, "by hand")
	m.session.MarkOffset(m.topic, partition, offset, "by hand")
	m.session.Commit()
	return nil
}

func (m *member) Pause(partition int32) error {
	m.group.Pause(map[string][]int32{m.topic: {partition}})
	return nil
}

func (m *member) Resume(partition int32) error {
	m.group.Resume(map[string][]int32{m.topic: {partition}})
	return nil
}

func (m *member) Seek(int32, int64) error {
	return jobs.Lacking
}

func (m *member) Close() error {
	m.stop()
	<-m.finished
	if err := m.group.Close(); err != nil { // such as a server that has just started again: the session will time out
		fmt.Fprintln(os.Stderr, err)
	}
	return nil
}
