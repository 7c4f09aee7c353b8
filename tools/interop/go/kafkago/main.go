// segmentio/kafka-go.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"torc/tools/interop/go/jobs"
)

var codecs = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

func main() {
	jobs.Main(produce, consume, calls)
}

// newWriter gives a writer that puts each message into the partition that is its WriterData.
func newWriter(bootstrap, topic string) *kafka.Writer {
	return &kafka.Writer{
		Addr: kafka.TCP(bootstrap), Topic: topic, RequiredAcks: kafka.RequireAll, BatchTimeout: 20 * time.Millisecond,
		Balancer: kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return m.WriterData.(int) }),
	}
}

func produce(bootstrap string, job *jobs.Job, acks *jobs.Acks) error {
	writer := newWriter(bootstrap, job.Topic)
	writer.Compression = codecs[job.Codec]
	if job.MaxRequest > 0 {
		writer.BatchBytes = int64(job.MaxRequest)
	}
	var lock sync.Mutex
	writer.Completion = func(messages []kafka.Message, err error) {
		lock.Lock()
		defer lock.Unlock()
		for _, m := range messages {
			if err == nil {
				acks.Add(int32(m.Partition), m.Offset)
			}
		}
	}
	planned, err := job.Records()
	if err != nil {
		return err
	}
	messages := make([]kafka.Message, len(planned))
	for i, p := range planned {
		messages[i] = kafka.Message{WriterData: int(p.Partition), Time: p.Timestamp, Key: p.Key, Value: p.Value}
		for _, h := range p.Headers {
			messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: string(h.Name), Value: h.Value})
		}
	}
	return errors.Join(writer.WriteMessages(context.Background(), messages...), writer.Close())
}

func consume(bootstrap string, digests *jobs.Digests) error {
	messages := make(chan kafka.Message)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, p := range digests.Partitions {
		reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: p.Topic, Partition: int(p.Partition), MaxBytes: 10 << 20})
		defer reader.Close()
		go forward(ctx, reader, messages)
	}
	for digests.Missing > 0 {
		select {
		case m := <-messages:
			read := jobs.Record{Partition: int32(m.Partition), Timestamp: m.Time, Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				read.Headers = append(read.Headers, jobs.Header{Name: []byte(h.Key), Value: h.Value})
			}
			digests.Add(m.Topic, m.Offset, read)
		case <-time.After(jobs.IdleTimeout):
			return errors.New("no record arrived in time")
		}
	}
	return nil
}

func forward(ctx context.Context, reader *kafka.Reader, messages chan<- kafka.Message) {
	for {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			return
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return
		}
	}
}
