// franz-go.
package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"torc/tools/interop/go/jobs"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func main() {
	jobs.Main(produce, consume, calls, join)
}

func produce(bootstrap string, job *jobs.Job, acks *jobs.Acks) error {
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codecs[job.Codec]),
	}
	if job.MaxRequest > 0 {
		options = append(options, kgo.ProducerBatchMaxBytes(int32(job.MaxRequest)))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	planned, err := job.Records()
	if err != nil {
		return err
	}
	records := make([]*kgo.Record, len(planned))
	for i, p := range planned {
		records[i] = &kgo.Record{Topic: job.Topic, Partition: p.Partition, Timestamp: p.Timestamp, Key: p.Key, Value: p.Value}
		for _, h := range p.Headers {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: string(h.Name), Value: h.Value})
		}
	}
	for _, result := range client.ProduceSync(context.Background(), records...) {
		if result.Err != nil {
			return result.Err
		}
		acks.Add(result.Record.Partition, result.Record.Offset)
	}
	return nil
}

func consume(bootstrap string, digests *jobs.Digests) error {
	assigned := map[string]map[int32]kgo.Offset{}
	for _, p := range digests.Partitions {
		if assigned[p.Topic] == nil {
			assigned[p.Topic] = map[int32]kgo.Offset{}
		}
		assigned[p.Topic][p.Partition] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumePartitions(assigned))
	if err != nil {
		return err
	}
	defer client.Close()
	for digests.Missing > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), jobs.IdleTimeout)
		fetches := client.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read := jobs.Record{Partition: r.Partition, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				read.Headers = append(read.Headers, jobs.Header{Name: []byte(h.Key), Value: h.Value})
			}
			digests.Add(r.Topic, r.Offset, read)
		})
	}
	return nil
}
