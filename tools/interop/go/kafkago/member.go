package main

import (
	"context"
	"log"

	kafka "github.com/segmentio/kafka-go"
	"torc/tools/interop/go/jobs"
)

// member is a Reader, which tells neither its partitions nor the results of commits that it makes by itself.
type member struct {
	reader *kafka.Reader
	topic  string
	auto   bool
	read   map[int]kafka.Message // the last of each partition that is not committed
}

func join(plan *jobs.Plan) (jobs.Member, error) {
	config := kafka.ReaderConfig{
		Brokers: []string{plan.Bootstrap}, GroupID: plan.Group, Topic: plan.Topic, StartOffset: kafka.FirstOffset,
		GroupBalancers: []kafka.GroupBalancer{kafka.RangeGroupBalancer{}}, SessionTimeout: jobs.SessionTimeout,
		HeartbeatInterval: jobs.HeartbeatInterval, JoinGroupBackoff: jobs.HeartbeatInterval, RebalanceTimeout: jobs.SessionTimeout,
		MaxWait: jobs.PollTime, ErrorLogger: log.Default(),
	}
	if plan.Commit == "auto" {
		config.CommitInterval = jobs.AutoCommitInterval
	}
	return &member{kafka.NewReader(config), plan.Topic, plan.Commit == "auto", map[int]kafka.Message{}}, nil
}

func (m *member) Poll() []jobs.Read {
	ctx, cancel := context.WithTimeout(context.Background(), jobs.PollTime)
	defer cancel()
	var read []jobs.Read
	for len(read) < 500 {
		message, err := m.reader.FetchMessage(ctx)
		if err != nil {
			break
		}
		m.read[message.Partition] = message
		read = append(read, jobs.Read{Partition: int32(message.Partition), Offset: message.Offset, Value: message.Value})
	}
	if m.auto && len(read) > 0 { // at the next interval; ReadMessage would do it, but loses what it has when its time ends
		if _, err := m.Commit(); err != nil {
			log.Print(err)
		}
	}
	return read
}

func (m *member) Commit() (map[int32]int64, error) {
	positions := map[int32]int64{}
	var messages []kafka.Message
	for partition, message := range m.read {
		positions[int32(partition)] = message.Offset + 1
		messages = append(messages, message)
	}
	clear(m.read)
	return positions, m.commit(messages...)
}

func (m *member) commit(messages ...kafka.Message) error {
	ctx, cancel := context.WithTimeout(context.Background(), jobs.Timeout)
	defer cancel()
	return m.reader.CommitMessages(ctx, messages...)
}

func (m *member) CommitAsync(done func(map[int32]int64, error)) {
	done(nil, jobs.Lacking)
}

// CommitByHand names the message before the offset, for kafka-go commits messages.
func (m *member) CommitByHand(partition int32, offset int64) error {
	return m.commit(kafka.Message{Topic: m.topic, Partition: int(partition), Offset: offset - 1})
}

func (m *member) Pause(int32) error       { return jobs.Lacking }
func (m *member) Resume(int32) error      { return jobs.Lacking }
func (m *member) Seek(int32, int64) error { return jobs.Lacking }

func (m *member) Close() error {
	return m.reader.Close()
}
