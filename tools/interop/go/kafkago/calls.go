package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"torc/tools/interop/go/jobs"
)

// The calls of harness/calls.py: with Client, Conn, Reader and Writer.
type segment struct {
	*jobs.Day
	ctx    context.Context
	client *kafka.Client
}

func calls(day *jobs.Day) error {
	transport := &kafka.Transport{MetadataTTL: 100 * time.Millisecond} // an answer that is kept may hide a change
	s := &segment{day, context.Background(), &kafka.Client{Addr: kafka.TCP(day.Bootstrap), Timeout: jobs.Timeout, Transport: transport}}
	day.Run(slices.Concat(s.cluster(), s.creation(), s.descriptions(), s.settings(), s.partitions(), s.producing(), s.offsets(), s.consuming(), s.end()), code)
	return nil
}

func code(err error) string {
	var known kafka.Error
	switch {
	case errors.As(err, &known) && known == kafka.UnsupportedVersion:
		return "refused"
	case errors.As(err, &known):
		return strconv.Itoa(int(known))
	default:
		return ""
	}
}

// conn is a plain connection to the server, for the calls of Conn.
func (s *segment) conn(call func(*kafka.Conn) (string, error)) func() (string, error) {
	return func() (string, error) {
		conn, err := kafka.Dial("tcp", s.Bootstrap)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(jobs.Timeout))
		return call(conn)
	}
}

func (s *segment) leader(name string, partition int, call func(*kafka.Conn) (string, error)) func() (string, error) {
	return func() (string, error) {
		conn, err := kafka.DialLeader(s.ctx, "tcp", s.Bootstrap, s.Topic(name), partition)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(jobs.Timeout))
		return call(conn)
	}
}

func (s *segment) metadata(names ...string) (*kafka.MetadataResponse, error) {
	found, err := s.client.Metadata(s.ctx, &kafka.MetadataRequest{Topics: names})
	if err != nil {
		return &kafka.MetadataResponse{}, err
	}
	return found, nil
}

func (s *segment) cluster() []jobs.Call {
	return []jobs.Call{
		{"api_versions", func() (string, error) {
			found, err := s.client.ApiVersions(s.ctx, &kafka.ApiVersionsRequest{})
			if err != nil {
				return "", err
			}
			var keys []int
			for _, key := range found.ApiKeys {
				keys = append(keys, key.ApiKey)
			}
			return jobs.SortedJoin(keys), found.Error
		}},
		{"api_versions/conn", s.conn(func(conn *kafka.Conn) (string, error) {
			found, err := conn.ApiVersions()
			var keys []int16
			for _, key := range found {
				keys = append(keys, key.ApiKey)
			}
			return jobs.SortedJoin(keys), err
		})},
		{"cluster_id", func() (string, error) {
			found, err := s.metadata()
			return found.ClusterID, err
		}},
		{"controller", func() (string, error) {
			found, err := s.metadata()
			return jobs.Number(found.Controller.ID, err)
		}},
		{"controller/conn", s.conn(func(conn *kafka.Conn) (string, error) {
			found, err := conn.Controller()
			return jobs.Number(found.ID, err)
		})},
		{"nodes", func() (string, error) {
			found, err := s.metadata()
			return nodes(found.Brokers), err
		}},
		{"nodes/conn", s.conn(func(conn *kafka.Conn) (string, error) {
			found, err := conn.Brokers()
			return nodes(found), err
		})},
	}
}

func nodes(brokers []kafka.Broker) string {
	var nodes []string
	for _, b := range brokers {
		nodes = append(nodes, fmt.Sprintf("%d=%s:%d", b.ID, b.Host, b.Port))
	}
	return jobs.Join(nodes)
}

func (s *segment) creation() []jobs.Call {
	create := func(name string, topic kafka.TopicConfig, validateOnly bool) func() (string, error) {
		return func() (string, error) {
			topic.Topic = s.Topic(name)
			ctx := s.ctx
			if validateOnly { // the client waits until the topic is there, for as long as it may
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				ctx = short
			}
			done, err := s.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}, ValidateOnly: validateOnly})
			if err != nil {
				return "", err
			}
			return jobs.OK(done.Errors[topic.Topic])
		}
	}
	one := func(entries ...kafka.ConfigEntry) kafka.TopicConfig {
		return kafka.TopicConfig{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: entries}
	}
	placed := func(nodes ...int32) kafka.TopicConfig {
		topic := kafka.TopicConfig{NumPartitions: -1, ReplicationFactor: -1}
		for p, node := range nodes {
			topic.ReplicaAssignments = append(topic.ReplicaAssignments, kafka.ReplicaAssignment{Partition: p, Replicas: []int{int(node)}})
		}
		return topic
	}
	var entries []kafka.ConfigEntry
	for key, value := range jobs.Settings {
		entries = append(entries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	return []jobs.Call{
		{"create", create("t", kafka.TopicConfig{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: entries}, false)},
		{"create_defaults", create("d", kafka.TopicConfig{NumPartitions: -1, ReplicationFactor: -1}, false)},
		{"create_manual", create("m", placed(s.Node, s.Node), false)},
		{"create_validate", create("v", one(), true)},
		{"create_duplicate", create("t", one(), false)},
		{"create_bad_value", create("x", one(kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "soon"}), false)},
		{"create_bad_key", create("x", one(kafka.ConfigEntry{ConfigName: "no.such.key", ConfigValue: "1"}), false)},
		{"create_bad_partitions", create("x", kafka.TopicConfig{NumPartitions: 0, ReplicationFactor: 1}, false)},
		{"create_bad_replication", create("x", kafka.TopicConfig{NumPartitions: 1, ReplicationFactor: 3}, false)},
		{"create_bad_name", create("a/b", one(), false)},
		{"create_bad_assignment", create("x", placed(s.Node+98), false)},
		{"create_p", s.conn(func(conn *kafka.Conn) (string, error) {
			return jobs.OK(conn.CreateTopics(kafka.TopicConfig{Topic: s.Topic("p"), NumPartitions: 4, ReplicationFactor: 1}))
		})},
	}
}

func (s *segment) descriptions() []jobs.Call {
	sizes := func(names ...string) func() (string, error) {
		return func() (string, error) {
			found, err := s.metadata(s.Topics(names...)...)
			var sizes []string
			for _, topic := range found.Topics {
				err = errors.Join(err, topic.Error)
				sizes = append(sizes, fmt.Sprintf("%s=%d", strings.TrimPrefix(topic.Name, s.Prefix+"."), len(topic.Partitions)))
			}
			return jobs.SortedJoin(sizes), err
		}
	}
	placed := func(partitions []kafka.Partition) string {
		var placed []string
		for _, p := range partitions {
			placed = append(placed, fmt.Sprintf("%d=%d/%s/%s", p.ID, p.Leader.ID, ids(p.Replicas), ids(p.Isr)))
		}
		return jobs.SortedJoin(placed)
	}
	return []jobs.Call{
		{"list_topics", func() (string, error) {
			found, err := s.metadata()
			var names []string
			for _, topic := range found.Topics {
				names = append(names, topic.Name)
			}
			return s.Mine(names), err
		}},
		{"list_topics/conn", s.conn(func(conn *kafka.Conn) (string, error) {
			found, err := conn.ReadPartitions()
			var names []string
			for _, p := range found {
				if p.ID == 0 {
					names = append(names, p.Topic)
				}
			}
			return s.Mine(names), err
		})},
		{"describe_topics", sizes("d", "m", "t")},
		{"describe_partitions", func() (string, error) {
			found, err := s.metadata(s.Topic("p"))
			if err != nil {
				return "", err
			}
			return placed(found.Topics[0].Partitions), found.Topics[0].Error
		}},
		{"describe_partitions/conn", s.conn(func(conn *kafka.Conn) (string, error) {
			found, err := conn.ReadPartitions(s.Topic("p"))
			return placed(found), err
		})},
		{"describe_unknown", sizes("x")},
	}
}

func ids(brokers []kafka.Broker) string {
	var ids []int
	for _, b := range brokers {
		ids = append(ids, b.ID)
	}
	return jobs.Join(ids)
}

type entry = kafka.DescribeConfigResponseConfigEntry

func (s *segment) describe(kind kafka.ResourceType, name string, keys []string) ([]entry, error) {
	resource := kafka.DescribeConfigRequestResource{ResourceType: kind, ResourceName: name, ConfigNames: keys}
	found, err := s.client.DescribeConfigs(s.ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{resource}, IncludeSynonyms: true, IncludeDocumentation: true})
	if err != nil {
		return nil, err
	}
	if found.Resources[0].Error != nil {
		return nil, found.Resources[0].Error
	}
	return found.Resources[0].ConfigEntries, nil
}

// values shows those of the keys, or all that came if there are none.
func (s *segment) values(kind kafka.ResourceType, name string, asked, shown []string) func() (string, error) {
	return func() (string, error) {
		found, err := s.describe(kind, name, asked)
		var values []string
		for _, e := range found {
			if shown == nil || slices.Contains(shown, e.ConfigName) {
				values = append(values, fmt.Sprintf("%s=%s/%d", e.ConfigName, e.ConfigValue, e.ConfigSource))
			}
		}
		return jobs.SortedJoin(values), err
	}
}

func (s *segment) settings() []jobs.Call {
	t, node := s.Topic("t"), strconv.Itoa(int(s.Node))
	compared := s.values(kafka.ResourceTypeTopic, t, nil, jobs.ComparedKeys)
	return []jobs.Call{
		{"configs", compared},
		{"configs_some", s.values(kafka.ResourceTypeTopic, t, []string{"retention.ms", "cleanup.policy"}, nil)},
		{"configs_types", func() (string, error) {
			found, err := s.describe(kafka.ResourceTypeTopic, t, jobs.ComparedKeys)
			var types []string
			for _, e := range found {
				types = append(types, fmt.Sprintf("%s=%d", e.ConfigName, e.ConfigType))
			}
			return jobs.SortedJoin(types), err
		}},
		{"configs_broker", s.values(kafka.ResourceTypeBroker, node, nil, jobs.BrokerKeys)},
		{"configs_broker_some", s.values(kafka.ResourceTypeBroker, node, []string{"num.partitions"}, nil)},
		{"configs_unknown", s.values(kafka.ResourceTypeTopic, s.Topic("x"), nil, nil)},
		{"alter_set", s.alter("t", kafka.ConfigOperationSet, "retention.ms", "7200000", false)},
		{"alter_set_done", compared},
		{"alter_delete", s.alter("t", kafka.ConfigOperationDelete, "retention.ms", "", false)},
		{"alter_delete_done", compared},
		{"alter_append", s.alter("t", kafka.ConfigOperationAppend, "cleanup.policy", "delete", false)},
		{"alter_append_done", compared},
		{"alter_subtract", s.alter("t", kafka.ConfigOperationSubtract, "cleanup.policy", "compact", false)},
		{"alter_subtract_done", compared},
		{"alter_validate", s.alter("t", kafka.ConfigOperationSet, "retention.ms", "1000", true)},
		{"alter_bad_value", s.alter("t", kafka.ConfigOperationSet, "retention.ms", "soon", false)},
		{"alter_bad_key", s.alter("t", kafka.ConfigOperationSet, "no.such.key", "1", false)},
		{"alter_unknown", s.alter("x", kafka.ConfigOperationSet, "retention.ms", "1000", false)},
		{"alter_legacy", s.alterLegacy("t", "max.message.bytes", "1500000")},
		{"alter_legacy_done", compared},
		{"alter_legacy_bad_value", s.alterLegacy("t", "retention.ms", "soon")},
		{"alter_legacy_unknown", s.alterLegacy("x", "retention.ms", "1000")},
	}
}

func (s *segment) alter(name string, operation kafka.ConfigOperation, key, value string, validateOnly bool) func() (string, error) {
	return func() (string, error) {
		resource := kafka.IncrementalAlterConfigsRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: s.Topic(name),
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: key, Value: value, ConfigOperation: operation}}}
		done, err := s.client.IncrementalAlterConfigs(s.ctx, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{resource}, ValidateOnly: validateOnly})
		if err != nil {
			return "", err
		}
		return jobs.OK(done.Resources[0].Error)
	}
}

func (s *segment) alterLegacy(name, key, value string) func() (string, error) {
	return func() (string, error) {
		resource := kafka.AlterConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: s.Topic(name),
			Configs: []kafka.AlterConfigRequestConfig{{Name: key, Value: value}}}
		done, err := s.client.AlterConfigs(s.ctx, &kafka.AlterConfigsRequest{Resources: []kafka.AlterConfigRequestResource{resource}})
		if err != nil {
			return "", err
		}
		for _, err := range done.Errors {
			if err != nil {
				return "", err
			}
		}
		return "ok", nil
	}
}

func (s *segment) partitions() []jobs.Call {
	update := func(name string, count int32, validateOnly bool, nodes ...int32) func() (string, error) {
		return func() (string, error) {
			topic := kafka.TopicPartitionsConfig{Name: s.Topic(name), Count: count}
			for _, node := range nodes {
				topic.TopicPartitionAssignments = append(topic.TopicPartitionAssignments, kafka.TopicPartitionAssignment{BrokerIDs: []int32{node}})
			}
			done, err := s.client.CreatePartitions(s.ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{topic}, ValidateOnly: validateOnly})
			if err != nil {
				return "", err
			}
			return jobs.OK(done.Errors[topic.Name])
		}
	}
	return []jobs.Call{
		{"partitions_validate", update("m", 3, true)},
		{"partitions", update("m", 4, false)},
		{"partitions_manual", update("m", 5, false, s.Node)},
		{"partitions_done", func() (string, error) {
			found, err := s.metadata(s.Topic("m"))
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("m=%d", len(found.Topics[0].Partitions)), found.Topics[0].Error
		}},
		{"partitions_fewer", update("m", 2, false)},
		{"partitions_bad_assignment", update("m", 6, false, s.Node+98)},
		{"partitions_unknown", update("x", 2, false)},
	}
}

// write uses a Writer; the offsets come with its Completion.
func (s *segment) write(name string, partition int, values []jobs.Value, change func(*kafka.Writer)) (string, error) {
	writer := newWriter(s.Bootstrap, s.Topic(name))
	writer.MaxAttempts = 3
	if change != nil {
		change(writer)
	}
	var lock sync.Mutex
	var offsets []int64
	writer.Completion = func(messages []kafka.Message, err error) {
		lock.Lock()
		defer lock.Unlock()
		for _, m := range messages {
			if err == nil {
				offsets = append(offsets, m.Offset)
			}
		}
	}
	var messages []kafka.Message
	for i, v := range values {
		m := kafka.Message{WriterData: partition, Key: fmt.Appendf(nil, "k%d", i), Value: v.Data}
		if v.Time != 0 {
			m.Time = time.UnixMilli(v.Time)
		}
		messages = append(messages, m)
	}
	err := errors.Join(writer.WriteMessages(s.ctx, messages...), writer.Close())
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		err = each[0]
	}
	return jobs.SortedJoin(offsets), err
}

// request produces with one request of Client.
func (s *segment) request(partition int, values []jobs.Value, acks kafka.RequiredAcks) (string, error) {
	var records []kafka.Record
	for i, v := range values {
		records = append(records, kafka.Record{Key: kafka.NewBytes(fmt.Appendf(nil, "k%d", i)), Value: kafka.NewBytes(v.Data)})
	}
	done, err := s.client.Produce(s.ctx, &kafka.ProduceRequest{Topic: s.Topic("p"), Partition: partition, RequiredAcks: acks, Records: kafka.NewRecordReader(records...)})
	if err != nil || done == nil {
		return "", err
	}
	var offsets []int64
	for i := range values {
		offsets = append(offsets, done.BaseOffset+int64(i))
	}
	return jobs.Join(offsets), done.Error
}

func (s *segment) producing() []jobs.Call {
	three := jobs.Values("a", "b", "c")
	return []jobs.Call{
		{"produce_leader", func() (string, error) { return s.request(0, three, kafka.RequireOne) }},
		{"produce_all", func() (string, error) { return s.request(0, three, kafka.RequireAll) }},
		{"produce_times", func() (string, error) { return s.write("p", 1, s.Timed(), nil) }},
		{"produce_codecs", func() (string, error) {
			var offsets []string
			for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
				long := strings.Repeat("some ", 100)
				found, err := s.write("p", 2, jobs.Values(long, long), func(w *kafka.Writer) { w.Compression = codecs[name] })
				if err != nil {
					return "", fmt.Errorf("%s: %w", name, err)
				}
				offsets = append(offsets, found)
			}
			return strings.Join(offsets, " "), nil
		}},
		{"produce_none", func() (string, error) {
			if _, err := s.write("p", 3, three, func(w *kafka.Writer) { w.RequiredAcks = kafka.RequireNone }); err != nil {
				return "", err
			}
			return "ok ok ok", nil
		}},
		{"produce_none_done", s.offset("p", 3, kafka.LastOffset)},
		{"produce_large", func() (string, error) {
			return s.write("p", 0, []jobs.Value{{Data: make([]byte, 3_000_000)}}, func(w *kafka.Writer) { w.BatchBytes = 4_000_000 })
		}},
		{"produce_future", func() (string, error) { return s.write("p", 0, []jobs.Value{{[]byte("a"), s.Base + 86_400_000}}, nil) }},
		{"produce_unknown", func() (string, error) { return s.write("x", 0, three, nil) }},
		{"auto_create", func() (string, error) {
			found, err := s.metadata()
			if err != nil || !slices.ContainsFunc(found.Topics, func(t kafka.Topic) bool { return t.Name == s.Topic("a") }) {
				_, err := s.write("a", 0, three[:1], func(w *kafka.Writer) { w.AllowAutoTopicCreation, w.MaxAttempts = true, 10 })
				if err != nil {
					return "", err
				}
			}
			return s.offset("a", 0, kafka.FirstOffset)()
		}},
	}
}

func (s *segment) list(name string, partition int, at int64, level kafka.IsolationLevel) (kafka.PartitionOffsets, error) {
	found, err := s.client.ListOffsets(s.ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{s.Topic(name): {{Partition: partition, Timestamp: at}}}, IsolationLevel: level})
	if err != nil {
		return kafka.PartitionOffsets{}, err
	}
	partitions := found.Topics[s.Topic(name)]
	if len(partitions) != 1 {
		return kafka.PartitionOffsets{}, fmt.Errorf("%d partitions", len(partitions))
	}
	return partitions[0], partitions[0].Error
}

func (s *segment) offset(name string, partition int, at int64) func() (string, error) {
	return func() (string, error) {
		found, err := s.list(name, partition, at, kafka.ReadUncommitted)
		switch at {
		case kafka.FirstOffset:
			return jobs.Number(found.FirstOffset, err)
		case kafka.LastOffset:
			return jobs.Number(found.LastOffset, err)
		}
		for offset := range found.Offsets {
			return jobs.Number(offset, err)
		}
		return "none", err
	}
}

func (s *segment) offsets() []jobs.Call {
	return []jobs.Call{
		{"offset_earliest", s.offset("p", 1, kafka.FirstOffset)},
		{"offset_earliest/conn", s.leader("p", 1, func(conn *kafka.Conn) (string, error) { return jobs.Number(conn.ReadFirstOffset()) })},
		{"offset_latest", s.offset("p", 1, kafka.LastOffset)},
		{"offset_latest/conn", s.leader("p", 1, func(conn *kafka.Conn) (string, error) { return jobs.Number(conn.ReadLastOffset()) })},
		{"offset_committed", func() (string, error) {
			found, err := s.list("p", 1, kafka.LastOffset, kafka.ReadCommitted)
			return jobs.Number(found.LastOffset, err)
		}},
		{"offset_time", s.offset("p", 1, s.Base+3500)},
		{"offset_time/conn", s.leader("p", 1, func(conn *kafka.Conn) (string, error) {
			return jobs.Number(conn.ReadOffset(time.UnixMilli(s.Base + 3500)))
		})},
		{"offset_time_late", s.offset("p", 1, s.Late().UnixMilli())},
		{"offset_unknown", s.offset("x", 0, kafka.LastOffset)},
	}
}

func (s *segment) consuming() []jobs.Call {
	p := s.Topic("p")
	return []jobs.Call{
		{"partitions_of", s.conn(func(conn *kafka.Conn) (string, error) {
			found, err := conn.ReadPartitions(p)
			var numbers []int
			for _, partition := range found {
				numbers = append(numbers, partition.ID)
			}
			return jobs.SortedJoin(numbers), err
		})},
		{"consume", func() (string, error) { return s.read(10, func(r *kafka.Reader) error { return nil }) }},
		{"consume/client", s.fetch},
		{"consume/conn", s.leader("p", 1, func(conn *kafka.Conn) (string, error) {
			batch := conn.ReadBatch(1, 1<<20)
			var values []string
			for range 10 {
				m, err := batch.ReadMessage()
				if err != nil {
					return "", err
				}
				values = append(values, string(m.Value))
			}
			return strings.Join(values, " "), batch.Close()
		})},
		{"consume_seek", func() (string, error) { return s.read(5, func(r *kafka.Reader) error { return r.SetOffset(5) }) }},
		{"consume_time", func() (string, error) {
			return s.read(6, func(r *kafka.Reader) error { return r.SetOffsetAt(s.ctx, time.UnixMilli(s.Base+3500)) })
		}},
		{"consume_position", s.leader("p", 1, func(conn *kafka.Conn) (string, error) { return jobs.Number(conn.Seek(0, kafka.SeekEnd)) })},
		{"consume_bounds", s.leader("p", 1, func(conn *kafka.Conn) (string, error) {
			first, last, err := conn.ReadOffsets()
			return fmt.Sprintf("%d %d", first, last), err
		})},
		{"consume_out_of_range", func() (string, error) {
			found, err := s.client.Fetch(s.ctx, &kafka.FetchRequest{Topic: p, Partition: 1, Offset: 1000, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
			if err != nil {
				return "", err
			}
			return "", found.Error
		}},
	}
}

func (s *segment) read(wanted int, seek func(*kafka.Reader) error) (string, error) {
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{s.Bootstrap}, Topic: s.Topic("p"), Partition: 1, MaxWait: time.Second})
	defer reader.Close()
	if err := seek(reader); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(s.ctx, jobs.Timeout)
	defer cancel()
	var values []string
	for len(values) < wanted {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			return "", err
		}
		values = append(values, string(m.Value))
	}
	return strings.Join(values, " "), nil
}

func (s *segment) fetch() (string, error) {
	found, err := s.client.Fetch(s.ctx, &kafka.FetchRequest{Topic: s.Topic("p"), Partition: 1, Offset: kafka.FirstOffset, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
	if err != nil || found.Error != nil {
		return "", errors.Join(err, found.Error)
	}
	var values []string
	for {
		record, err := found.Records.ReadRecord()
		if err != nil {
			return strings.Join(values, " "), nil // io.EOF
		}
		value, err := kafka.ReadAll(record.Value)
		if err != nil {
			return "", err
		}
		values = append(values, string(value))
	}
}

func (s *segment) end() []jobs.Call {
	remove := func(names ...string) func() (string, error) {
		return func() (string, error) {
			done, err := s.client.DeleteTopics(s.ctx, &kafka.DeleteTopicsRequest{Topics: s.Topics(names...)})
			if err != nil {
				return "", err
			}
			for _, err := range done.Errors {
				if err != nil {
					return "", err
				}
			}
			return "ok", nil
		}
	}
	return []jobs.Call{
		{"groups", func() (string, error) {
			found, err := s.client.ListGroups(s.ctx, &kafka.ListGroupsRequest{})
			// It asks even for what is not advertised; the server then closes the connection, as Kafka does.
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return "refused", nil
			}
			if err != nil {
				return "", err
			}
			var names []string
			for _, group := range found.Groups {
				names = append(names, group.GroupID)
			}
			return s.Mine(names), found.Error
		}},
		{"delete", s.conn(func(conn *kafka.Conn) (string, error) { return jobs.OK(conn.DeleteTopics(s.Topic("d"))) })},
		{"delete_unknown", remove("x")},
		{"delete_done", func() (string, error) {
			found, err := s.metadata()
			var left []string
			for _, topic := range found.Topics {
				if topic.Name == s.Topic("d") || topic.Name == s.Topic("t") {
					left = append(left, strings.TrimPrefix(topic.Name, s.Prefix+"."))
				}
			}
			return jobs.SortedJoin(left), err
		}},
		{"create_again", func() (string, error) {
			done, err := s.client.CreateTopics(s.ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: s.Topic("d"), NumPartitions: 1, ReplicationFactor: 1}}})
			if err != nil {
				return "", err
			}
			return jobs.OK(done.Errors[s.Topic("d")])
		}},
		{"create_again_done", s.offset("d", 0, kafka.LastOffset)},
		{"cleanup", remove("a", "d", "m", "p", "t")},
	}
}
