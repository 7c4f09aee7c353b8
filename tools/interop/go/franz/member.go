package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"torc/tools/interop/go/jobs"
)

type member struct {
	client *kgo.Client
	topic  string
	auto   bool
	lock   sync.Mutex
	owned  map[int32]bool
}

func join(plan *jobs.Plan) (jobs.Member, error) {
	m := &member{topic: plan.Topic, auto: plan.Commit == "auto", owned: map[int32]bool{}}
	balancer := kgo.RangeBalancer()
	if plan.Assignor == "cooperative" {
		balancer = kgo.CooperativeStickyBalancer()
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(plan.Bootstrap), kgo.ConsumerGroup(plan.Group), kgo.ConsumeTopics(plan.Topic), kgo.Balancers(balancer),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(jobs.SessionTimeout), kgo.HeartbeatInterval(jobs.HeartbeatInterval),
		kgo.FetchMaxWait(jobs.PollTime), kgo.OnPartitionsAssigned(m.assigned), kgo.OnPartitionsRevoked(m.gone), kgo.OnPartitionsLost(m.gone),
		kgo.BlockRebalanceOnPoll(), // so that a batch is told and committed before its partitions can go
		kgo.RetryBackoffFn(func(int) time.Duration { return jobs.HeartbeatInterval }),
	}
	if plan.Protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer())
	}
	if m.auto {
		options = append(options, kgo.AutoCommitInterval(jobs.AutoCommitInterval))
	} else {
		options = append(options, kgo.DisableAutoCommit())
	}
	if plan.Instance != "" {
		options = append(options, kgo.InstanceID(plan.Instance))
	}
	var err error
	m.client, err = kgo.NewClient(options...)
	return m, err
}

func (m *member) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	m.change(added[m.topic], true)
}

// gone commits what auto commit would, were there no function of ours.
func (m *member) gone(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
	if m.auto {
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	m.change(gone[m.topic], false)
}

func (m *member) change(partitions []int32, owned bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, p := range partitions {
		if owned {
			m.owned[p] = true
		} else {
			delete(m.owned, p)
		}
	}
	var all []int32
	for p := range m.owned {
		all = append(all, p)
	}
	jobs.TellAssigned(all)
}

// Poll allows a rebalance between the last batch's commit and the next batch.
func (m *member) Poll() []jobs.Read {
	m.client.AllowRebalance()
	ctx, cancel := context.WithTimeout(context.Background(), jobs.PollTime)
	defer cancel()
	var read []jobs.Read
	m.client.PollRecords(ctx, 500).EachRecord(func(r *kgo.Record) {
		read = append(read, jobs.Read{Partition: r.Partition, Offset: r.Offset, Value: r.Value})
	})
	return read
}

func (m *member) Commit() (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), jobs.Timeout)
	defer cancel()
	positions := m.positions()
	return positions, m.client.CommitUncommittedOffsets(ctx)
}

func (m *member) positions() map[int32]int64 {
	positions := map[int32]int64{}
	for p, offset := range m.client.UncommittedOffsets()[m.topic] {
		positions[p] = offset.Offset
	}
	return positions
}

func (m *member) CommitAsync(done func(map[int32]int64, error)) {
	positions := m.positions()
	m.client.CommitOffsets(context.Background(), m.client.UncommittedOffsets(), answerTo(positions, done))
}

func (m *member) CommitByHand(partition int32, offset int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), jobs.Timeout)
	defer cancel()
	var failed error
	offsets := map[string]map[int32]kgo.EpochOffset{m.topic: {partition: {Epoch: -1, Offset: offset}}}
	m.client.CommitOffsetsSync(ctx, offsets, answerTo(nil, func(_ map[int32]int64, err error) { failed = err }))
	return failed
}

// answerTo makes an error of whatever went wrong with a commit.
func answerTo(positions map[int32]int64, done func(map[int32]int64, error)) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
		if err == nil {
			for _, topic := range answer.Topics {
				for _, partition := range topic.Partitions {
					if err == nil {
						err = kerr.ErrorForCode(partition.ErrorCode)
					}
				}
			}
		}
		done(positions, err)
	}
}

func (m *member) Pause(partition int32) error {
	m.client.PauseFetchPartitions(map[string][]int32{m.topic: {partition}})
	return nil
}

func (m *member) Resume(partition int32) error {
	m.client.ResumeFetchPartitions(map[string][]int32{m.topic: {partition}})
	return nil
}

func (m *member) Seek(partition int32, offset int64) error {
	m.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{m.topic: {partition: {Epoch: -1, Offset: offset}}})
	return nil
}

func (m *member) Close() error {
	m.client.CloseAllowingRebalance()
	return nil
}
