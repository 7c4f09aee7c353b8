// segmentio/kafka-go.
package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"torc/tools/interop/go/jobs"
)

var codecs = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

func main() {
	jobs.Main(produce, consume, calls, join)
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

// consume uses Client: Reader gives empty keys and values as null.
func consume(bootstrap string, digests *jobs.Digests) error {
	client := &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: jobs.IdleTimeout}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answers := make(chan answer)
	for _, p := range digests.Partitions {
		go forward(ctx, client, p, answers)
	}
	for digests.Missing > 0 {
		select {
		case a := <-answers:
			if a.err != nil {
				return a.err
			}
			digests.Add(a.topic, a.offset, a.record)
		case <-time.After(jobs.IdleTimeout):
			return errors.New("no record arrived in time")
		}
	}
	return nil
}

// answer is a record that was read, or why no more will come.
type answer struct {
	topic  string
	offset int64
	record jobs.Record
	err    error
}

func forward(ctx context.Context, client *kafka.Client, p jobs.Partition, answers chan<- answer) {
	for next := int64(0); ctx.Err() == nil; {
		read, err := fetch(ctx, client, p, next)
		if err != nil {
			read = []answer{{err: err}}
		}
		for _, a := range read {
			select {
			case answers <- a:
				next = a.offset + 1
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func fetch(ctx context.Context, client *kafka.Client, p jobs.Partition, offset int64) ([]answer, error) {
	found, err := client.Fetch(ctx, &kafka.FetchRequest{
		Topic: p.Topic, Partition: int(p.Partition), Offset: offset, MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 500 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	if found.Error != nil {
		return nil, found.Error
	}
	var read []answer
	for {
		record, err := found.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return nil, err
		}
		key, err := kafka.ReadAll(record.Key)
		value, err2 := kafka.ReadAll(record.Value)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		if record.Offset < offset { // of the same batch
			continue
		}
		a := answer{topic: p.Topic, offset: record.Offset, record: jobs.Record{Partition: p.Partition, Timestamp: record.Time, Key: key, Value: value}}
		for _, h := range record.Headers {
			a.record.Headers = append(a.record.Headers, jobs.Header{Name: []byte(h.Key), Value: h.Value})
		}
		read = append(read, a)
	}
}
