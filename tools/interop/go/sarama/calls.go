package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"torc/tools/interop/go/jobs"
)

// The calls of harness/calls.py: with ClusterAdmin and Client, and with requests to a Broker, where they say more.
type ibm struct {
	*jobs.Day
	config *sarama.Config
	client sarama.Client
	admin  sarama.ClusterAdmin
}

func calls(day *jobs.Day) error {
	s := &ibm{Day: day, config: newConfig()}
	client, err := sarama.NewClient([]string{day.Bootstrap}, s.config)
	if err != nil {
		return err
	}
	defer client.Close()
	s.client = client
	if s.admin, err = sarama.NewClusterAdminFromClient(client); err != nil {
		return err
	}
	day.Run(slices.Concat(s.cluster(), s.creation(), s.descriptions(), s.settings(), s.partitions(), s.producing(), s.offsets(), s.consuming(), s.end()), code)
	return nil
}

func newConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Admin.Timeout = jobs.Timeout
	config.Metadata.AllowAutoTopicCreation = false
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}

func code(err error) string {
	var kafka sarama.KError
	switch {
	case errors.As(err, &kafka) && kafka == sarama.ErrUnsupportedVersion, errors.Is(err, sarama.ErrUnsupportedVersion):
		return "refused"
	case errors.As(err, &kafka):
		return strconv.Itoa(int(kafka))
	default:
		return ""
	}
}

func (s *ibm) broker() *sarama.Broker {
	broker := s.client.LeastLoadedBroker()
	_ = broker.Open(s.config) // fails if it is open already
	return broker
}

// told is the error of a request, or else the one within its answer.
func told(err error, within sarama.KError) error {
	if err == nil && within != sarama.ErrNoError {
		return within
	}
	return err
}

func (s *ibm) cluster() []jobs.Call {
	describe := func() (*sarama.DescribeClusterResponse, error) {
		request := sarama.NewDescribeClusterRequest(s.config.Version)
		request.IncludeClusterAuthorizedOperations = true
		response, err := s.broker().DescribeCluster(request)
		if err != nil {
			return &sarama.DescribeClusterResponse{}, err
		}
		return response, told(nil, response.Err)
	}
	versions := func() (*sarama.ApiVersionsResponse, error) {
		response, err := s.broker().ApiVersions(&sarama.ApiVersionsRequest{Version: 3, ClientSoftwareName: "sarama", ClientSoftwareVersion: "interop"})
		if err != nil {
			return &sarama.ApiVersionsResponse{}, err
		}
		return response, told(nil, sarama.KError(response.ErrorCode))
	}
	return []jobs.Call{
		{"api_versions", func() (string, error) {
			response, err := versions()
			var keys []int16
			for _, key := range response.ApiKeys {
				keys = append(keys, key.ApiKey)
			}
			return jobs.SortedJoin(keys), err
		}},
		{"features", func() (string, error) {
			response, err := versions()
			var features []string
			for _, feature := range response.SupportedFeatures {
				features = append(features, fmt.Sprintf("%s=%d-%d", feature.Name, feature.MinVersion, feature.MaxVersion))
			}
			return jobs.Join(features), err
		}},
		{"cluster_id", func() (string, error) {
			response, err := describe()
			return response.ClusterID, err
		}},
		{"controller", func() (string, error) {
			_, id, err := s.admin.DescribeCluster()
			return jobs.Number(id, err)
		}},
		{"controller/client", func() (string, error) {
			controller, err := s.client.RefreshController()
			if err != nil {
				return "", err
			}
			return jobs.Number(controller.ID(), nil)
		}},
		{"nodes", func() (string, error) {
			brokers, _, err := s.admin.DescribeCluster()
			var nodes []string
			for _, b := range brokers {
				nodes = append(nodes, fmt.Sprintf("%d=%s", b.ID(), b.Addr()))
			}
			return jobs.Join(nodes), err
		}},
		{"cluster_operations", func() (string, error) {
			response, err := describe()
			return jobs.Bits(response.ClusterAuthorizedOperations), err
		}},
	}
}

func (s *ibm) creation() []jobs.Call {
	create := func(name string, detail sarama.TopicDetail) func() (string, error) {
		return func() (string, error) { return jobs.OK(s.admin.CreateTopic(s.Topic(name), &detail, false)) }
	}
	one := func(settings map[string]string) sarama.TopicDetail {
		return sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: pointers(settings)}
	}
	placed := func(nodes ...int32) sarama.TopicDetail {
		detail := sarama.TopicDetail{NumPartitions: -1, ReplicationFactor: -1, ReplicaAssignment: map[int32][]int32{}}
		for p, node := range nodes {
			detail.ReplicaAssignment[int32(p)] = []int32{node}
		}
		return detail
	}
	return []jobs.Call{
		{"create", create("t", sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: pointers(jobs.Settings)})},
		{"create_defaults", create("d", sarama.TopicDetail{NumPartitions: -1, ReplicationFactor: -1})},
		{"create_manual", create("m", placed(s.Node, s.Node))},
		{"create_validate", func() (string, error) {
			return jobs.OK(s.admin.CreateTopic(s.Topic("v"), &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, true))
		}},
		{"create_duplicate", create("t", one(nil))},
		{"create_bad_value", create("x", one(map[string]string{"retention.ms": "soon"}))},
		{"create_bad_key", create("x", one(map[string]string{"no.such.key": "1"}))},
		{"create_bad_partitions", create("x", sarama.TopicDetail{NumPartitions: 0, ReplicationFactor: 1})},
		{"create_bad_replication", create("x", sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 3})},
		{"create_bad_name", create("a/b", one(nil))},
		{"create_bad_assignment", create("x", placed(s.Node+98))},
		{"create_p", create("p", sarama.TopicDetail{NumPartitions: 4, ReplicationFactor: 1})},
	}
}

func (s *ibm) descriptions() []jobs.Call {
	sizes := func(names ...string) func() (string, error) {
		return func() (string, error) {
			found, err := s.admin.DescribeTopics(s.Topics(names...))
			var sizes []string
			for _, topic := range found {
				err = errors.Join(err, told(nil, topic.Err))
				sizes = append(sizes, fmt.Sprintf("%s=%d", strings.TrimPrefix(topic.Name, s.Prefix+"."), len(topic.Partitions)))
			}
			return jobs.SortedJoin(sizes), err
		}
	}
	return []jobs.Call{
		{"list_topics", func() (string, error) {
			found, err := s.admin.ListTopics()
			var names []string
			for name := range found {
				names = append(names, name)
			}
			return s.Mine(names), err
		}},
		{"list_topics/client", func() (string, error) {
			if err := s.client.RefreshMetadata(); err != nil {
				return "", err
			}
			names, err := s.client.Topics()
			return s.Mine(names), err
		}},
		{"describe_topics", sizes("d", "m", "t")},
		{"describe_partitions", func() (string, error) {
			found, err := s.admin.DescribeTopics(s.Topics("p"))
			if err != nil {
				return "", err
			}
			var placed []string
			for _, p := range found[0].Partitions {
				placed = append(placed, fmt.Sprintf("%d=%d/%s/%s", p.ID, p.Leader, jobs.Join(p.Replicas), jobs.Join(p.Isr)))
			}
			return jobs.SortedJoin(placed), told(nil, found[0].Err)
		}},
		{"topic_operations", func() (string, error) {
			request := sarama.NewMetadataRequest(s.config.Version, s.Topics("t"))
			request.IncludeTopicAuthorizedOperations = true
			response, err := s.broker().GetMetadata(request)
			if err != nil {
				return "", err
			}
			return jobs.Bits(response.Topics[0].TopicAuthorizedOperations), told(nil, response.Topics[0].Err)
		}},
		{"describe_unknown", sizes("x")},
		{"describe_unknown/client", func() (string, error) {
			_, err := s.client.Partitions(s.Topic("x"))
			return "", err
		}},
	}
}

type describe struct {
	kind          sarama.ConfigResourceType
	name          string
	keys          []string // asked for; nil: all
	shown         []string // nil: all that came
	synonyms, doc bool
}

func (s *ibm) entries(d describe) ([]sarama.ConfigEntry, error) {
	resource := &sarama.ConfigResource{Type: d.kind, Name: d.name, ConfigNames: d.keys}
	found, err := s.admin.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{IncludeSynonyms: d.synonyms, IncludeDocumentation: d.doc})
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d resources", len(found))
	}
	return found[0].Configs, told(nil, found[0].ErrorCode)
}

func (s *ibm) values(d describe) func() (string, error) {
	return func() (string, error) {
		found, err := s.entries(d)
		var values []string
		for _, entry := range found {
			if d.shown == nil || slices.Contains(d.shown, entry.Name) {
				values = append(values, fmt.Sprintf("%s=%s/%d", entry.Name, entry.Value, entry.Source))
			}
		}
		return jobs.SortedJoin(values), err
	}
}

func (s *ibm) settings() []jobs.Call {
	t, broker := s.Topic("t"), strconv.Itoa(int(s.Node))
	topicOf := sarama.TopicResource
	compared := s.values(describe{kind: topicOf, name: t, shown: jobs.ComparedKeys})
	alter := func(name string, operation sarama.IncrementalAlterConfigsOperation, key, value string, validateOnly bool) func() (string, error) {
		return func() (string, error) {
			entry := sarama.IncrementalAlterConfigsEntry{Operation: operation, Value: &value}
			if operation == sarama.IncrementalAlterConfigsOperationDelete {
				entry.Value = nil
			}
			return jobs.OK(s.admin.IncrementalAlterConfig(topicOf, s.Topic(name), map[string]sarama.IncrementalAlterConfigsEntry{key: entry}, validateOnly))
		}
	}
	legacy := func(name, key, value string) func() (string, error) {
		return func() (string, error) {
			return jobs.OK(s.admin.AlterConfig(topicOf, s.Topic(name), pointers(map[string]string{key: value}), false))
		}
	}
	set := sarama.IncrementalAlterConfigsOperationSet
	return []jobs.Call{
		{"configs", compared},
		{"configs/old", func() (string, error) {
			found, err := s.admin.DescribeConfig(sarama.ConfigResource{Type: topicOf, Name: t})
			var values []string
			for _, entry := range found {
				if slices.Contains(jobs.ComparedKeys, entry.Name) {
					values = append(values, fmt.Sprintf("%s=%s/%d", entry.Name, entry.Value, entry.Source))
				}
			}
			return jobs.SortedJoin(values), err
		}},
		{"configs_some", s.values(describe{kind: topicOf, name: t, keys: []string{"retention.ms", "cleanup.policy"}})},
		{"configs_synonyms", func() (string, error) {
			found, err := s.entries(describe{kind: topicOf, name: t, keys: []string{"max.message.bytes"}, synonyms: true})
			if err != nil {
				return "", err
			}
			var synonyms []string
			for _, synonym := range found[0].Synonyms {
				synonyms = append(synonyms, fmt.Sprintf("%s=%s/%d", synonym.ConfigName, synonym.ConfigValue, synonym.Source))
			}
			return jobs.Join(synonyms), nil
		}},
		{"configs_documentation", func() (string, error) {
			found, err := s.entries(describe{kind: topicOf, name: t, keys: []string{"retention.ms"}, doc: true})
			if err != nil {
				return "", err
			}
			return map[bool]string{true: "yes", false: "no"}[found[0].Documentation != nil && *found[0].Documentation != ""], nil
		}},
		{"configs_types", func() (string, error) {
			found, err := s.entries(describe{kind: topicOf, name: t, keys: jobs.ComparedKeys, doc: true})
			var types []string
			for _, entry := range found {
				types = append(types, fmt.Sprintf("%s=%d", entry.Name, entry.Type))
			}
			return jobs.SortedJoin(types), err
		}},
		{"configs_broker", s.values(describe{kind: sarama.BrokerResource, name: broker, shown: jobs.BrokerKeys})},
		{"configs_broker_some", s.values(describe{kind: sarama.BrokerResource, name: broker, keys: []string{"num.partitions"}})},
		{"configs_broker_default", s.values(describe{kind: sarama.BrokerResource, shown: []string{"log.retention.ms"}})},
		{"configs_unknown", s.values(describe{kind: topicOf, name: s.Topic("x")})},
		{"alter_set", alter("t", set, "retention.ms", "7200000", false)},
		{"alter_set_done", compared},
		{"alter_delete", alter("t", sarama.IncrementalAlterConfigsOperationDelete, "retention.ms", "", false)},
		{"alter_delete_done", compared},
		{"alter_append", alter("t", sarama.IncrementalAlterConfigsOperationAppend, "cleanup.policy", "delete", false)},
		{"alter_append_done", compared},
		{"alter_subtract", alter("t", sarama.IncrementalAlterConfigsOperationSubtract, "cleanup.policy", "compact", false)},
		{"alter_subtract_done", compared},
		{"alter_validate", alter("t", set, "retention.ms", "1000", true)},
		{"alter_bad_value", alter("t", set, "retention.ms", "soon", false)},
		{"alter_bad_key", alter("t", set, "no.such.key", "1", false)},
		{"alter_unknown", alter("x", set, "retention.ms", "1000", false)},
		{"alter_legacy", legacy("t", "max.message.bytes", "1500000")},
		{"alter_legacy_done", compared},
		{"alter_legacy_bad_value", legacy("t", "retention.ms", "soon")},
		{"alter_legacy_unknown", legacy("x", "retention.ms", "1000")},
	}
}

func (s *ibm) partitions() []jobs.Call {
	update := func(name string, count int32, placed [][]int32, validateOnly bool) func() (string, error) {
		return func() (string, error) {
			return jobs.OK(s.admin.CreatePartitions(s.Topic(name), count, placed, validateOnly))
		}
	}
	return []jobs.Call{
		{"partitions_validate", update("m", 3, nil, true)},
		{"partitions", update("m", 4, nil, false)},
		{"partitions_manual", update("m", 5, [][]int32{{s.Node}}, false)},
		{"partitions_done", func() (string, error) {
			found, err := s.admin.DescribeTopics(s.Topics("m"))
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("m=%d", len(found[0].Partitions)), nil
		}},
		{"partitions_fewer", update("m", 2, nil, false)},
		{"partitions_bad_assignment", update("m", 6, [][]int32{{s.Node + 98}}, false)},
		{"partitions_unknown", update("x", 2, nil, false)},
	}
}

func (s *ibm) produce(name string, partition int32, values []jobs.Value, change func(*sarama.Config)) (string, error) {
	config := newConfig()
	config.Producer.Flush.Frequency = 20 * time.Millisecond
	if change != nil {
		change(config)
	}
	producer, err := sarama.NewSyncProducer([]string{s.Bootstrap}, config)
	if err != nil {
		return "", err
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for i, v := range values {
		message := &sarama.ProducerMessage{Topic: s.Topic(name), Partition: partition, Key: sarama.StringEncoder(fmt.Sprintf("k%d", i)), Value: sarama.ByteEncoder(v.Data)}
		if v.Time != 0 {
			message.Timestamp = time.UnixMilli(v.Time)
		}
		messages = append(messages, message)
	}
	if err := producer.SendMessages(messages); err != nil {
		var each sarama.ProducerErrors
		if errors.As(err, &each) {
			return "", each[0].Err
		}
		return "", err
	}
	var offsets []string
	for _, message := range messages {
		offsets = append(offsets, strconv.FormatInt(message.Offset, 10))
	}
	return strings.Join(offsets, " "), nil
}

func (s *ibm) producing() []jobs.Call {
	three := jobs.Values("a", "b", "c")
	acks := func(acks sarama.RequiredAcks) func(*sarama.Config) {
		return func(config *sarama.Config) { config.Producer.RequiredAcks = acks }
	}
	idempotent := func(config *sarama.Config) {
		config.Producer.RequiredAcks, config.Producer.Idempotent, config.Net.MaxOpenRequests = sarama.WaitForAll, true, 1
	}
	compressed := func(change func(*sarama.Config)) func() (string, error) {
		return func() (string, error) {
			var offsets []string
			for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
				long := strings.Repeat("some ", 100)
				found, err := s.produce("p", 2, jobs.Values(long, long), func(config *sarama.Config) {
					change(config)
					config.Producer.Compression = codecs[name]
				})
				if err != nil {
					return "", fmt.Errorf("%s: %w", name, err)
				}
				offsets = append(offsets, found)
			}
			return strings.Join(offsets, " "), nil
		}
	}
	return []jobs.Call{
		{"produce_leader", func() (string, error) { return s.produce("p", 0, three, acks(sarama.WaitForLocal)) }},
		{"produce_all", func() (string, error) { return s.produce("p", 0, three, acks(sarama.WaitForAll)) }},
		{"produce_idempotent", func() (string, error) { return s.produce("p", 0, three, idempotent) }},
		{"produce_times", func() (string, error) { return s.produce("p", 1, s.Timed(), nil) }},
		{"produce_codecs", compressed(acks(sarama.WaitForAll))},
		{"produce_codecs_idempotent", compressed(idempotent)},
		{"produce_none", func() (string, error) {
			if _, err := s.produce("p", 3, three, acks(sarama.NoResponse)); err != nil {
				return "", err
			}
			return "ok ok ok", nil
		}},
		{"produce_none_done", s.offset("p", 3, sarama.OffsetNewest)},
		{"produce_large", func() (string, error) {
			return s.produce("p", 0, []jobs.Value{{Data: make([]byte, 3_000_000)}}, func(config *sarama.Config) { config.Producer.MaxMessageBytes = 4_000_000 })
		}},
		{"produce_future", func() (string, error) {
			return s.produce("p", 0, []jobs.Value{{[]byte("a"), s.Base + 86_400_000}}, nil)
		}},
		{"produce_unknown", func() (string, error) { return s.produce("x", 0, three, nil) }},
		{"auto_create", func() (string, error) {
			if found, err := s.admin.ListTopics(); err != nil || found[s.Topic("a")].NumPartitions == 0 {
				_, err := s.produce("a", 0, three[:1], func(config *sarama.Config) { config.Metadata.AllowAutoTopicCreation = true })
				if err != nil {
					return "", err
				}
			}
			return s.offset("a", 0, sarama.OffsetOldest)()
		}},
	}
}

func (s *ibm) offset(name string, partition int32, at int64) func() (string, error) {
	return func() (string, error) {
		_ = s.client.RefreshMetadata(s.Topic(name))
		return jobs.Number(s.client.GetOffset(s.Topic(name), partition, at))
	}
}

func (s *ibm) listed(at int64, options *sarama.ListOffsetsOptions) (*sarama.OffsetResult, error) {
	found, err := s.admin.ListOffsets(map[string]map[int32]int64{s.Topic("p"): {1: at}}, options)
	if err != nil {
		return &sarama.OffsetResult{}, err
	}
	result := found[s.Topic("p")][1]
	if errors.Is(result.Err, sarama.ErrNoError) { // so it says "none"
		return result, nil
	}
	return result, result.Err
}

func (s *ibm) offsets() []jobs.Call {
	admin := func(at int64) func() (string, error) {
		return func() (string, error) {
			found, err := s.listed(at, nil)
			return jobs.Number(found.Offset, err)
		}
	}
	return []jobs.Call{
		{"offset_earliest", s.offset("p", 1, sarama.OffsetOldest)},
		{"offset_earliest/admin", admin(sarama.OffsetOldest)},
		{"offset_latest", s.offset("p", 1, sarama.OffsetNewest)},
		{"offset_latest/admin", admin(sarama.OffsetNewest)},
		{"offset_committed", func() (string, error) {
			found, err := s.listed(sarama.OffsetNewest, &sarama.ListOffsetsOptions{IsolationLevel: sarama.ReadCommitted})
			return jobs.Number(found.Offset, err)
		}},
		{"offset_time", s.offset("p", 1, s.Base+3500)},
		{"offset_time/admin", admin(s.Base + 3500)},
		{"offset_time_found", func() (string, error) {
			found, err := s.listed(s.Base+3500, nil)
			return jobs.Number(found.Timestamp, err)
		}},
		{"offset_time_late", s.offset("p", 1, s.Late().UnixMilli())},
		{"offset_unknown", s.offset("x", 0, sarama.OffsetNewest)},
	}
}

// consume opens p/1 at each of the offsets in turn and reads `wanted` records.
func (s *ibm) consume(name string, offset int64, wanted int) (string, error) {
	consumer, err := sarama.NewConsumer([]string{s.Bootstrap}, newConfig())
	if err != nil {
		return "", err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(s.Topic(name), 1, offset)
	if err != nil {
		return "", err
	}
	defer partition.Close()
	var values []string
	for _, m := range take(partition, wanted, jobs.Timeout) {
		values = append(values, string(m.Value))
	}
	return strings.Join(values, " "), nil
}

// take gives messages, until `wanted` are there or nothing comes.
func take(partition sarama.PartitionConsumer, wanted int, idle time.Duration) []*sarama.ConsumerMessage {
	var messages []*sarama.ConsumerMessage
	for len(messages) < wanted {
		select {
		case m := <-partition.Messages():
			messages = append(messages, m)
		case <-time.After(idle):
			return messages
		}
	}
	return messages
}

func (s *ibm) consuming() []jobs.Call {
	return []jobs.Call{
		{"partitions_of", func() (string, error) {
			partitions, err := s.client.Partitions(s.Topic("p"))
			return jobs.SortedJoin(partitions), err
		}},
		{"consume", func() (string, error) { return s.consume("p", sarama.OffsetOldest, 10) }},
		{"consume_seek", func() (string, error) { return s.consume("p", 5, 5) }},
		{"consume_time", func() (string, error) {
			offset, err := s.client.GetOffset(s.Topic("p"), 1, s.Base+3500)
			if err != nil {
				return "", err
			}
			return s.consume("p", offset, 6)
		}},
		{"consume_bounds", func() (string, error) {
			from, err := s.offset("p", 1, sarama.OffsetOldest)()
			to, err2 := s.offset("p", 1, sarama.OffsetNewest)()
			return from + " " + to, errors.Join(err, err2)
		}},
		{"consume_pause", s.pause},
		{"consume_out_of_range", func() (string, error) { return s.consume("p", 1000, 1) }},
		{"consume_unknown", func() (string, error) { return s.consume("x", 0, 1) }},
	}
}

func (s *ibm) pause() (string, error) {
	consumer, err := sarama.NewConsumer([]string{s.Bootstrap}, newConfig())
	if err != nil {
		return "", err
	}
	defer consumer.Close()
	consumer.Pause(map[string][]int32{s.Topic("p"): {1}})
	free, err := consumer.ConsumePartition(s.Topic("p"), 0, sarama.OffsetOldest)
	if err != nil {
		return "", err
	}
	defer free.Close()
	paused, err := consumer.ConsumePartition(s.Topic("p"), 1, sarama.OffsetOldest)
	if err != nil {
		return "", err
	}
	defer paused.Close()
	paused.Pause()
	read := len(take(free, 10, 2*time.Second))
	early := len(take(paused, 1, time.Millisecond))
	paused.Resume()
	return fmt.Sprintf("%d %d %d", read, early, len(take(paused, 10, jobs.Timeout))), nil
}

func (s *ibm) end() []jobs.Call {
	deleteRecords := func(name string, at int64) func() (string, error) {
		return func() (string, error) {
			request := &sarama.DeleteRecordsRequest{Version: 1, Timeout: jobs.Timeout, Topics: map[string]*sarama.DeleteRecordsRequestTopic{
				s.Topic(name): {PartitionOffsets: map[int32]int64{1: at}}}}
			response, err := s.broker().DeleteRecords(request)
			if err != nil {
				return "", err
			}
			found := response.Topics[s.Topic(name)].Partitions[1]
			return jobs.Number(found.LowWatermark, told(nil, found.Err))
		}
	}
	remove := func(names ...string) func() (string, error) {
		return func() (string, error) {
			for _, name := range names {
				if err := s.admin.DeleteTopic(s.Topic(name)); err != nil {
					return "", err
				}
			}
			return "ok", nil
		}
	}
	return []jobs.Call{
		{"delete_records", func() (string, error) {
			if err := s.admin.DeleteRecords(s.Topic("p"), map[int32]int64{1: 3}); err != nil {
				return "", err
			}
			return s.offset("p", 1, sarama.OffsetOldest)() // it gives no answer
		}},
		{"delete_records_done", s.offset("p", 1, sarama.OffsetOldest)},
		{"delete_records_beyond", deleteRecords("p", 1000)},
		{"delete_records_all", deleteRecords("p", -1)},
		{"delete_records_unknown", deleteRecords("x", 0)},
		{"log_dirs", func() (string, error) {
			found, err := s.admin.DescribeLogDirs([]int32{s.Node})
			partitions, filled := 0, false
			for _, directory := range found[s.Node] {
				for _, topic := range directory.Topics {
					if topic.Topic == s.Topic("p") {
						partitions += len(topic.Partitions)
						filled = slices.ContainsFunc(topic.Partitions, func(p sarama.DescribeLogDirsResponsePartition) bool { return p.PartitionID == 0 && p.Size > 0 })
					}
				}
			}
			if !filled {
				partitions = 0
			}
			return fmt.Sprintf("%d %d", len(found[s.Node]), partitions), err
		}},
		{"groups", func() (string, error) {
			found, err := s.admin.ListConsumerGroups()
			var names []string
			for name := range found {
				names = append(names, name)
			}
			return s.Mine(names), err
		}},
		{"delete", remove("d")},
		{"delete_unknown", remove("x")},
		{"delete_done", func() (string, error) {
			found, err := s.admin.ListTopics()
			var left []string
			for _, name := range []string{"d", "t"} {
				if _, ok := found[s.Topic(name)]; ok {
					left = append(left, name)
				}
			}
			return jobs.Join(left), err
		}},
		{"create_again", func() (string, error) {
			return jobs.OK(s.admin.CreateTopic(s.Topic("d"), &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
		}},
		{"create_again_done", s.offset("d", 0, sarama.OffsetNewest)},
		{"cleanup", remove("a", "d", "m", "p", "t")},
	}
}

func pointers(settings map[string]string) map[string]*string {
	result := map[string]*string{}
	for key, value := range settings {
		result[key] = &value
	}
	return result
}
