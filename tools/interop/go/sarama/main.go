// sarama.
package main

import (
	"errors"
	"time"

	"github.com/IBM/sarama"
	"torc/tools/interop/go/jobs"
)

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func main() {
	jobs.Main(produce, consume, calls, join)
}

func produce(bootstrap string, job *jobs.Job, acks *jobs.Acks) error {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true // what SyncProducer asks for
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Compression = codecs[job.Codec]
	if job.MaxRequest > 0 {
		config.Producer.MaxMessageBytes = job.MaxRequest
	}
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	planned, err := job.Records()
	if err != nil {
		return err
	}
	messages := make([]*sarama.ProducerMessage, len(planned))
	for i, p := range planned {
		messages[i] = &sarama.ProducerMessage{Topic: job.Topic, Partition: p.Partition, Timestamp: p.Timestamp, Key: encoder(p.Key), Value: encoder(p.Value)}
		for _, h := range p.Headers {
			messages[i].Headers = append(messages[i].Headers, sarama.RecordHeader{Key: h.Name, Value: h.Value})
		}
	}
	if err := producer.SendMessages(messages); err != nil {
		return err
	}
	for _, m := range messages {
		acks.Add(m.Partition, m.Offset)
	}
	return nil
}

// encoder gives a nil interface for null; a nil slice within an interface would be sent as empty.
func encoder(data []byte) sarama.Encoder {
	if data == nil {
		return nil
	}
	return sarama.ByteEncoder(data)
}

func consume(bootstrap string, digests *jobs.Digests) error {
	consumer, err := sarama.NewConsumer([]string{bootstrap}, nil)
	if err != nil {
		return err
	}
	messages, stop := make(chan *sarama.ConsumerMessage), make(chan struct{})
	var partitions []sarama.PartitionConsumer
	for _, p := range digests.Partitions {
		partition, err := consumer.ConsumePartition(p.Topic, p.Partition, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		partitions = append(partitions, partition)
		go forward(partition, messages, stop)
	}
	err = receive(messages, digests)
	close(stop)
	for _, partition := range partitions {
		partition.AsyncClose()
	}
	return errors.Join(err, consumer.Close())
}

func forward(partition sarama.PartitionConsumer, messages chan<- *sarama.ConsumerMessage, stop <-chan struct{}) {
	for m := range partition.Messages() {
		select {
		case messages <- m:
		case <-stop:
			return
		}
	}
}

func receive(messages <-chan *sarama.ConsumerMessage, digests *jobs.Digests) error {
	for digests.Missing > 0 {
		select {
		case m := <-messages:
			read := jobs.Record{Partition: m.Partition, Timestamp: m.Timestamp, Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				read.Headers = append(read.Headers, jobs.Header{Name: h.Key, Value: h.Value})
			}
			digests.Add(m.Topic, m.Offset, read)
		case <-time.After(jobs.IdleTimeout):
			return errors.New("no record arrived in time")
		}
	}
	return nil
}
