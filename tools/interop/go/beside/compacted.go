package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	updatedKeys  = 100_000
	updateValue  = 100 // bytes
	updateBatch  = 100 // records that are due at once
	updateRate   = 100_000
	updateSeed   = 20
	settledAfter = 15 * time.Second // the size has not changed for so long
	settledLimit = 4 * time.Minute
)

// updates writes `count` records of updatedKeys keys to a compacted topic, at an even rate, and tells how long each batch took from when it was
// due. With `compacts` it waits until the topic's size stays, and tells that beside the size of the newest record of each key.
func updates(bootstrap, prefix string, count int, compacts bool) {
	topic := prefix + "updates"
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(1<<20), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	check(err)
	defer client.Close()
	admin := kadm.NewClient(client)
	compact := "compact"
	create(admin, topic, 1, map[string]*string{"cleanup.policy": &compact})
	client.PauseFetchTopics(topic)

	random := rand.New(rand.NewPCG(updateSeed, 0))
	value := make([]byte, updateValue)
	for i := range value {
		value[i] = byte('a' + random.IntN(26))
	}
	last := make([]uint32, updatedKeys) // the update that wrote the key last, counted from 1
	var lock sync.Mutex
	var taken []time.Duration
	begin := time.Now()
	for written := 0; written < count; written += updateBatch {
		due := begin.Add(time.Duration(written) * time.Second / updateRate)
		time.Sleep(time.Until(due))
		for i := range updateBatch {
			key := random.IntN(updatedKeys)
			last[key] = uint32(written + i + 1)
			var promise func(*kgo.Record, error)
			if i == updateBatch-1 {
				promise = func(_ *kgo.Record, err error) {
					check(err)
					lock.Lock()
					defer lock.Unlock()
					taken = append(taken, time.Since(due))
				}
			}
			client.Produce(context.Background(), &kgo.Record{Key: fmt.Appendf(nil, "key-%010d", key), Value: stamped(value, last[key])}, promise)
		}
	}
	check(client.Flush(context.Background()))
	slices.Sort(taken)
	tell("updates per second", float64(count)/time.Since(begin).Seconds())
	tell("update p50 ms", milliseconds(quantile(taken, 0.5)))
	tell("update p99 ms", milliseconds(quantile(taken, 0.99)))
	if compacts {
		size := settledSize(admin, topic)
		client.ResumeFetchTopics(topic)
		live, records := newest(client, admin, topic, last)
		tell("size MB", float64(size)/1e6)
		tell("size / live", float64(size)/float64(live))
		tell("records / keys", float64(records)/float64(updatedKeys))
	}
	_, err = admin.DeleteTopics(context.Background(), topic)
	check(err)
}

func stamped(value []byte, number uint32) []byte {
	return append(binary.BigEndian.AppendUint32(nil, number), value[4:]...)
}

// settledSize is the topic's size when it has stayed the same for a while.
func settledSize(admin *kadm.Client, topic string) int64 {
	size, since := int64(-1), time.Now()
	for begin := time.Now(); time.Since(since) < settledAfter; time.Sleep(time.Second) {
		if time.Since(begin) > settledLimit {
			check(fmt.Errorf("the topic's size still changes after %s: %d", settledLimit, size))
		}
		dirs, err := admin.DescribeAllLogDirs(context.Background(), nil)
		check(err)
		now := int64(0)
		dirs.Each(func(dir kadm.DescribedLogDir) {
			for _, partition := range dir.Topics[topic] {
				now += partition.Size
			}
		})
		if now != size {
			size, since = now, time.Now()
		}
	}
	return size
}

// newest reads the whole topic, whose newest record of each key must be the one that was written last. Returns the bytes of those, as records of
// a batch, and how many records there are at all.
func newest(client *kgo.Client, admin *kadm.Client, topic string, last []uint32) (int64, int) {
	ends, err := admin.ListEndOffsets(context.Background(), topic)
	check(err)
	end, _ := ends.Lookup(topic, 0)
	read := map[string]uint32{}
	records, live := 0, int64(0)
	for next := int64(0); next < end.Offset; {
		fetched := client.PollFetches(context.Background())
		check(fetched.Err())
		fetched.EachRecord(func(r *kgo.Record) {
			read[string(r.Key)] = binary.BigEndian.Uint32(r.Value)
			next = r.Offset + 1
			records++
		})
	}
	const overhead = 9 // length, attributes, deltas of time and offset, lengths of key and value, headers: as varints
	for key, number := range last {
		name := fmt.Sprintf("key-%010d", key)
		if read[name] != number {
			check(fmt.Errorf("%s was updated last by %d, but %d is there", name, number, read[name]))
		}
		if number > 0 {
			live += int64(len(name) + updateValue + overhead)
		}
	}
	return live, records
}
